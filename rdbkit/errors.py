"""What can be wrong with a file, by what to do about it.

    RdbkitError
      ├ Truncated      the bytes end too early             fetch the file again, or repair it
      ├ Corrupt        the bytes contradict each other     restore another copy, or repair it
      ├ Unsupported    not a format that rdbkit knows      a newer rdbkit, or another tool
      ├ LimitExceeded  sound, but over a limit you set     raise the limit
      └ Passed         already behind us on a pipe         save it to a file, or ask for it earlier

Every one says where: `offset` is absolute in the file (for a compressed file: in what it unpacks to), and damage
inside a compressed or packed string carries the offset at which that string starts. `code` is stable: scripts may rely
on it.
"""

from __future__ import annotations


class RdbkitError(Exception):
    """Base of every error that the bytes of an input can cause; never raised itself."""

    code = "error"
    hint = ""
    """What to do next, where that does not follow from the code."""

    def __init__(
        self,
        message: str,
        *,
        offset: int | None = None,
        code: str | None = None,
        db: int | None = None,
        key: bytes | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.db = db
        self.key = key
        if code is not None:
            self.code = code

    def locate(self, db: int | None, key: bytes | None) -> None:
        """Add which key was being read, where the one who raised could not know it."""
        if self.db is None:
            self.db = db
        if self.key is None:
            self.key = key


class Truncated(RdbkitError):
    """The bytes end before the record does; `offset` is where they end."""

    code = "truncated"


class Corrupt(RdbkitError):
    """The bytes contradict themselves; `code` tells which structure."""

    code = "corrupt"


class Unsupported(RdbkitError):
    """Not a known format, or newer than this version of rdbkit knows."""

    code = "unsupported"


class LimitExceeded(RdbkitError):
    """Sound, but larger than a limit that the caller set."""

    code = "limit-exceeded"


class Passed(RdbkitError):
    """The value was already walked over, and a pipe cannot go back."""

    code = "passed"
