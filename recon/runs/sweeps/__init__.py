"""Many runs: searches for the best configuration, and what their runs have in common."""
