"""The project's only spider."""
