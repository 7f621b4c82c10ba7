"""Formats whose converters need another PyTorch than this one: written in an environment of their own."""
