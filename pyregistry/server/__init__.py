"""The processes of `pyregistry serve`: main, which supervises, and its workers, which serve."""

from pyregistry.server.main import serve

__all__ = ["serve"]
