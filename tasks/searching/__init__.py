"""Platform-aware search (arXiv:1807.11626, arXiv:1905.02244): forms and widths of blocks for a device."""
