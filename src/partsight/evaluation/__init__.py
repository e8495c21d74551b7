"""Scores of a run as pure functions of its predictions table: no model, no pictures, no torch."""
