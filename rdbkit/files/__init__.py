"""The one place where files are created: names, exclusive creation, and content that is whole or not there at all."""
