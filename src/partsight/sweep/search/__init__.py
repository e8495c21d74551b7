"""`hydra/sweeper=search`: each trial a run, its settings drawn by Optuna from what earlier trials reached."""
