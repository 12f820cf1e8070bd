"""Analyses of a file, each a fold over one pass."""
