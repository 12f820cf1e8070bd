"""Terminals, units, colours, escaping, CSV and JSON: known here and nowhere else."""
