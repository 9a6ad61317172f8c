"""Runs that die at any moment, and what is left of them: `make chaos`, and in small in the test run."""
