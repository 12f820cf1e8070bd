"""What a command can raise."""

from __future__ import annotations


class CommandError(Exception):
    """An error that a command replies with: it has no effect, and loading goes on."""


class UnknownValueError(Exception):
    """A command depends on a key whose value is not known; `command` is the one that may have written it."""

    def __init__(self, command: bytes) -> None:
        super().__init__(command)
        self.command = command
