"""The RDB format: what records there are, where they end, what they mean."""
