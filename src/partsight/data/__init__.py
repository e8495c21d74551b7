"""From a folder of pictures to batches: table, folds, fingerprint, dataset, loaders."""
