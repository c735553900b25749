"""Training: the loop, its steps, resuming, and what a run records."""
