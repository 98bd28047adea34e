"""The doctor at the backend, and what it finds of the installation."""
