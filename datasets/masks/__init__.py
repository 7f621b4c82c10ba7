"""Data sets whose annotations are mask files."""
