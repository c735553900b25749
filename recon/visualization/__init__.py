"""Images, animations and plots for people to look at."""
