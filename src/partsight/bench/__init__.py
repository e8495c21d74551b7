"""`partsight bench`: what this machine could do, and what a run reaches on it."""
