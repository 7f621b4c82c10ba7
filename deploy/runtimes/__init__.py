"""Runtimes of exported files behind one protocol."""
