"""Training: Lightning's Trainer, and what surrounds it."""
