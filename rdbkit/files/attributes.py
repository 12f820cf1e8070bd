"""Owner, mode and extended attributes of a new file: those of the file that it stands for."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import Protocol

_NO_XATTR = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODATA)


class Like(Protocol):
    """An open file with its status as of opening."""

    fd: int
    seen: os.stat_result


def dress(fd: int, like: Like, *, owner: bool) -> None:
    """Give a new file the mode and the extended attributes (access lists are among them) of another, and its owner."""
    mine = os.fstat(fd)
    if owner and (mine.st_uid, mine.st_gid) != (like.seen.st_uid, like.seen.st_gid):
        os.fchown(fd, like.seen.st_uid, like.seen.st_gid)
    for name in _attributes(like.fd):
        try:
            os.setxattr(fd, name, os.getxattr(like.fd, name))
        except OSError as error:
            # The labels of the security module are the system's to give.
            if error.errno not in _NO_XATTR and not name.startswith("security."):
                raise
    os.fchmod(fd, stat.S_IMODE(like.seen.st_mode))


def dress_lightly(fd: int, seen: os.stat_result) -> None:
    """Give a new file the mode of the file that it will replace, and its owner where we may."""
    mine = os.fstat(fd)
    if (mine.st_uid, mine.st_gid) != (seen.st_uid, seen.st_gid):
        with suppress(OSError):
            os.fchown(fd, seen.st_uid, seen.st_gid)
    os.fchmod(fd, stat.S_IMODE(seen.st_mode))


def _attributes(fd: int) -> list[str]:
    if not hasattr(os, "listxattr"):
        return []
    try:
        return os.listxattr(fd)
    except OSError as error:
        if error.errno in _NO_XATTR:
            return []
        raise
