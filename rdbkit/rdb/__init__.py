"""Reading and writing RDB files: records, the bodies of values, streams, and DUMP payloads."""
