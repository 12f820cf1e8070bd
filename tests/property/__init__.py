"""What holds for every file, and for every damage of it."""
