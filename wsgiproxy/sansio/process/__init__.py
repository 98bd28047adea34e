"""Rules about a spawned process: its command, its lifecycle, and the parsing of /proc."""
