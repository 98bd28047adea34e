"""Trust between real servers."""
