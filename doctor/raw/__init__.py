"""Data sets as their files state them, mistakes included."""
