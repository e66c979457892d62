"""pyregistry: an OCI registry and pull-through mirror."""

from importlib.metadata import version

__version__ = version("pyregistry-oci")
