"""Training with pictures without labels: the trained model labels them, and trains on with them."""
