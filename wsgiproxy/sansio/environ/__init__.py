"""The environ of PEP 3333: read, and restored."""
