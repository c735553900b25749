"""What judges a trained model: protocol, baselines, intervals, comparisons, tables and images."""
