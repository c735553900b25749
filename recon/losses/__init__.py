"""Losses of training and fitting, and the objective which composes them."""
