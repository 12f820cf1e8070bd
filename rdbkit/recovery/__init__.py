"""Repair: a valid AOF or set out of a damaged one, an account of what was lost, and the result put in place."""
