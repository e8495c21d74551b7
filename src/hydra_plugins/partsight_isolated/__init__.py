"""The launcher `isolated`."""
