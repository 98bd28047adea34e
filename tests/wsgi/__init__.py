"""The WSGI edge, in a server."""
