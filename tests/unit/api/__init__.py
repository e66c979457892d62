"""The API between ASGI and its handlers."""
