"""The rules about a process: its command, its life, and what the system tells of it."""
