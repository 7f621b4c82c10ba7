"""One experiment a file: the only place where concrete parts meet."""
