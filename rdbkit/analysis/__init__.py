"""Questions that people ask of a file, each a fold over one pass."""
