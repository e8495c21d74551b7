"""Turns Hydrogen Torch's exported yaml into a use case before any config is composed."""
