"""Images in, predictions and their files out."""
