"""The only rooms that know terminals, units, colours, escaping, CSV and JSON."""
