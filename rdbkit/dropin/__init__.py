"""Drop-in replacements for the servers' own check tools. Only this package imitates their messages and behaviour."""
