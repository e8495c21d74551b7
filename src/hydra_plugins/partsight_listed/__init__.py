"""The sweeper `listed`."""
