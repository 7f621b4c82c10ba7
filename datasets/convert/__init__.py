"""Detection data sets written in another format."""
