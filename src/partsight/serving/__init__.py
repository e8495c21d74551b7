"""Using a checkpoint: scoring new pictures, exporting it, packing it for the line."""
