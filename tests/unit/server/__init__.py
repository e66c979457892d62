"""Processes of `serve`: their parts, without processes."""
