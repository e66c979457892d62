"""Decisions over facts. Pure: no I/O."""
