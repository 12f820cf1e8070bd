"""Output formats: tables, JSON and CSV, with units, escaping, colours and terminal width."""
