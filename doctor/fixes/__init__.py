"""A cleaned copy of a data set in its own format."""
