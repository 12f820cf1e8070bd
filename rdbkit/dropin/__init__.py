"""Drop-in replacements of the servers' own check tools: their words and their ways live here, and only here."""
