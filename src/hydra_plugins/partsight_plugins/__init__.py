"""The launcher `isolated` and the sweepers `listed` and `search`."""
