"""The program that ``export --client`` writes beside a model; its parts also serve ``Predictor``."""
