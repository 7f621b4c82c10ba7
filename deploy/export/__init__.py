"""A model -> a file for a runtime."""
