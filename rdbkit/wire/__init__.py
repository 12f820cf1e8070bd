"""Primitive encodings: the bits that RDB types are made of. Nothing here knows a type, a server or a file."""
