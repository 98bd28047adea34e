"""HTTP archives (HAR 1.2): exchanges as values, their text and back, the choice of an answer."""
