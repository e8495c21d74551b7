"""Import and export of other products' files."""
