"""`hydra/sweeper=search`: each trial is a run whose settings Optuna chooses from the results of earlier trials."""
