"""Hydrogen Torch's exported yaml, turned into a use case before any config is composed."""
