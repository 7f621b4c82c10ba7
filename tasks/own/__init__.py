"""Training on a data set without a config."""
