"""The RDB format as tables: types, opcodes, and what a body comes down to."""
