"""Training several heads on one backbone, each on its own data."""
