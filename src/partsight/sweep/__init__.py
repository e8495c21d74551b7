"""Sweeps (`train.py -m`): one Hydra multirun, its jobs, its parent run and its table."""
