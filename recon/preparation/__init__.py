"""From sources of objects to one prepared data set."""
