"""Observation: the access log, and warnings that do not flood the log."""
