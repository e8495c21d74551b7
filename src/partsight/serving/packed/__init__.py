"""What is copied into a packed scorer. These files may import, of partsight, nothing but `pack.COPIED`."""
