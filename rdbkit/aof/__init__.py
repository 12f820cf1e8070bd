"""Reading and writing append-only files."""
