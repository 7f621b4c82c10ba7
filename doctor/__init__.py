"""What is wrong with a data set: everything that `check-data` finds."""
