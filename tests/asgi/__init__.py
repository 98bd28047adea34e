"""The ASGI twin."""
