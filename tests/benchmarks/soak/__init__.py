"""Hours of mixed load with failures, and what it leaves behind: memory, descriptors, threads."""
