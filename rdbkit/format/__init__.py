"""The RDB format as data: types, opcodes, versions, slots, and the shape of a body."""
