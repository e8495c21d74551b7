"""What is copied into a packed scorer. From partsight, these files may only import `pack.COPIED`."""
