"""Tests of what hooks see, and of chains against a model."""
