"""Primitive encodings from which RDB types are built. Nothing here depends on a type, a server or a file."""
