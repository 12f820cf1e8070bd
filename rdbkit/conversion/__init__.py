"""Selection of keys for commands that convert or list them."""
