"""Sources of the objects of a data set, one module for each, and what they share."""
