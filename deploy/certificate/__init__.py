"""Whether an exported file still says what PyTorch says."""
