"""Checks, findings and remedies for RDBs, AOFs, sets and data directories."""
