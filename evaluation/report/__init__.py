"""An evaluation as pages and pictures for people."""
