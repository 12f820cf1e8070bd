"""Properties of every file, and of every damaged file."""
