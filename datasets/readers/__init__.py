"""One reader a format: files -> records."""
