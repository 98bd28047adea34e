"""One file for each family of header fields."""
