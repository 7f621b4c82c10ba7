"""Unlabeled pictures in the order in which labeling them should teach most."""
