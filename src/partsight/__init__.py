"""partsight: image classifiers for visual inspection that can be trusted, compared and deployed."""

__version__ = "0.1.0"

RESULTS_VERSION = 2
"""Raised whenever a change of the code alters the result of an unchanged config. Part of a run's identity."""
