"""What WSGIProxy2 offered, on our engine, and the faults of it that are not kept."""
