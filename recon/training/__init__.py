"""What learns: the loop, its steps, what survives a crash, and what it shows."""
