"""The only package that creates files: names, exclusive creation, and files that are complete or do not exist."""
