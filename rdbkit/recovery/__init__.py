"""Repair a damaged AOF or set: find the damage, drop it, report what was lost, and write the result."""
