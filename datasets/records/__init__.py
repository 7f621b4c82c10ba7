"""What every reader returns: the annotations of a split as flat arrays."""
