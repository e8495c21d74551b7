"""Other products' files, in and out."""
