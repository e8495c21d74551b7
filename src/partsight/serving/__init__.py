"""A checkpoint at work: scoring new pictures, exporting it, packing it for the line."""
