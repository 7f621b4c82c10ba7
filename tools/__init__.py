"""Verbs: one file a command, each with a ``main(argv)`` that returns an exit code."""
