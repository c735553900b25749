"""Where objects of a data set come from: one module a source, and what they share."""
