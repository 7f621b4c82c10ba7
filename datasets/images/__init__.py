"""Image files -> pixels, and decoded pixels kept for the next epoch."""
