"""Entry points of the commands: `rdbkit`, `rdbkit-check-aof`, `rdbkit-check-rdb`, and `python -m rdbkit`."""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn


def _leave(number: int, frame: FrameType | None) -> None:
    """Handle a Ctrl-C while modules are being imported: there is nothing to clean up yet."""
    if os.isatty(2):
        os.write(2, b"\n")
    os._exit(128 + number)


# Set before the other imports: they take a while, and an interrupt during them would print a traceback.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _leave)


def main() -> NoReturn:
    """Run `rdbkit`."""
    from rdbkit import cli

    cli.main()


def check_aof() -> NoReturn:
    """Run `rdbkit-check-aof`."""
    from rdbkit import cli

    cli.main(["check-aof", *sys.argv[1:]])


def check_rdb() -> NoReturn:
    """Run `rdbkit-check-rdb`."""
    from rdbkit import cli

    cli.main(["check-rdb", *sys.argv[1:]])


if __name__ == "__main__":
    main()
