"""The chapters of a run, which experiment.py puts in order."""
