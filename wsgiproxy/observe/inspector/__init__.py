"""What passes, kept for a person who looks at it: exchanges, their page, and their files."""
