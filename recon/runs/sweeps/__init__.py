"""Many runs: searches for settings, and what their runs have in common."""
