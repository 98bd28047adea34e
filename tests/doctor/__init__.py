"""Tests of the doctor at the backend."""
