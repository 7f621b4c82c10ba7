"""Masks of segmentation: which belong to which images, what their values mean, and masks made once."""
