"""Training: Lightning's Trainer, and what stands beside it."""
