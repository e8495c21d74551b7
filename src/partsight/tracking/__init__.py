"""MLflow: where runs are kept, and the run."""
