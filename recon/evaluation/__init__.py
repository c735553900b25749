"""Evaluation of trained models: baselines, intervals, comparisons, tables and images."""
