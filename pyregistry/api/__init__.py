"""The OCI distribution API over ASGI."""
