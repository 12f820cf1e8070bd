"""From files to files: what to take of them, and what to make of it."""
