"""A checkpoint at work: scoring new pictures."""
