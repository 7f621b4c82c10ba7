"""NetAdapt (arXiv:1804.03230): narrow a trained network until it is as fast as asked."""
