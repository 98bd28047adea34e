"""The rules: every decision about text and bytes, without socket, clock, thread or log."""
