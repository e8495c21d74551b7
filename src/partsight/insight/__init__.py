"""What people look at after a run: charts and picture sheets. Nothing here needs torch or a model."""
