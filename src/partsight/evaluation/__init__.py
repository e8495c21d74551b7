"""Figures of a run as pure functions of its predictions table: no model, no picture, no torch."""
