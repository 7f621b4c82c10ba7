"""Exporters, and runtimes behind one protocol: the way from a trained model to a device."""
