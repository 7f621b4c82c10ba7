"""The one evaluation loop: evaluators, reports and comparisons."""
