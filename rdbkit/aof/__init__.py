"""The append-only file: commands in the protocol's own form."""
