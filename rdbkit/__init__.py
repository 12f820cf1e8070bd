"""Read, check and explain the files in which Redis and Valkey keep their data."""

from rdbkit import _face  # first: it decides which face the other modules show

compiled = _face.compiled
