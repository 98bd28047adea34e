"""Tests of the spawner, with real processes."""
