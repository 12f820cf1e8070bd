"""Findings and remedies: what is wrong with an entry, an RDB, an AOF, a path."""
