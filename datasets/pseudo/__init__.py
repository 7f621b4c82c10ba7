"""Labels that a model made, beside those that people made."""
