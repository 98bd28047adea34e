"""The browser proxy with the clients and servers that people have."""
