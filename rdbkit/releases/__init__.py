"""What each release of Redis and Valkey does, as data."""
