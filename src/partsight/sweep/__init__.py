"""Many runs, one result."""
