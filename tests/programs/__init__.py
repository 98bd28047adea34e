"""Real programs behind the command, used in a browser until they do what a person came for."""
