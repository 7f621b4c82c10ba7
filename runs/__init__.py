"""Run folders and weights files: what they hold, and how models are built from it."""
