"""Searching for hyper-parameters: a sweep of runs, and a range of learning rates."""
