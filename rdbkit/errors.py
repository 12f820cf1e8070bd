"""The errors that a file can cause, grouped by what to do about them.

    RdbkitError
      ├ Truncated      the bytes end too early             fetch the file again, or repair it
      ├ Corrupt        the bytes contradict each other     restore another copy, or repair it
      ├ Unsupported    not a format that rdbkit knows      a newer rdbkit, or another tool
      ├ LimitExceeded  valid, but over a limit you set     raise the limit
      └ Passed         already passed on a pipe            save it to a file, or read it earlier

Every error has an `offset`, absolute in the file (for a compressed file: in its unpacked data); for damage inside a
compressed or packed string it is the offset at which that string starts. `code` is stable: scripts may rely on it.
"""

from __future__ import annotations


class RdbkitError(Exception):
    """Base class of all errors that the bytes of an input can cause; never raised itself."""

    code = "error"
    hint = ""
    """What to do next, if that does not follow from the code."""

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
        """Add the key that was being read, if the code that raised the error did not know it."""
        if self.db is None:
            self.db = db
        if self.key is None:
            self.key = key


class Truncated(RdbkitError):
    """The bytes end before the record does; `offset` is where they end."""

    code = "truncated"


class Corrupt(RdbkitError):
    """The bytes contradict themselves; `code` names the structure."""

    code = "corrupt"


class Unsupported(RdbkitError):
    """Not a known format, or newer than the formats that this version of rdbkit knows."""

    code = "unsupported"


class LimitExceeded(RdbkitError):
    """Valid, but larger than a limit that the caller set."""

    code = "limit-exceeded"


class Passed(RdbkitError):
    """The value was already passed, and a pipe cannot be read again."""

    code = "passed"
