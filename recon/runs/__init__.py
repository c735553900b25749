"""Run directories, checkpoints, trained models and sweeps."""
