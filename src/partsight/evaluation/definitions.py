"""Numbers that define the metrics, for the figures of a table and for those of an epoch: no scikit-learn, no torch."""

BETAS = {"F1": 1.0, "F2": 2.0, "F05": 0.5}
"""How many times as much recall counts as precision."""
LOG_LOSS_FLOOR = 1e-15
"""The least probability whose logarithm is taken."""
