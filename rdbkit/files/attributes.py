"""Owner, mode and extended attributes of a new file: those of the file that it is made from or replaces.

A new file must not be readable by anyone who could not read the old one, and must not get a privilege: set-id bits and
capabilities are not copied.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Protocol

_NO_XATTR = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODATA)
_ACL = "system.posix_acl_access"
_PERMISSIONS = 0o777
_GROUP = 0o070


class Like(Protocol):
    """An open file with its status as of opening."""

    fd: int
    seen: os.stat_result


def dress(fd: int, like: Like, *, owner: bool) -> None:
    """Give a new file the mode and the extended attributes of another, and with `owner` its owner.

    Raises OSError where the owner or an attribute cannot be set.
    """
    if owner and not _is_owned_alike(fd, like.seen):
        os.fchown(fd, like.seen.st_uid, like.seen.st_gid)
    _copy_attributes(fd, like.fd, strict=True)
    _set_mode(fd, like.seen)


def dress_lightly(fd: int, seen: os.stat_result, old: str | None = None) -> None:
    """Give a new file the mode of another (`old` is its path), and its owner and attributes if that is permitted."""
    if not _is_owned_alike(fd, seen) and hasattr(os, "fchown"):
        with suppress(OSError):
            os.fchown(fd, seen.st_uid, seen.st_gid)
    if old is not None:
        _copy_attributes(fd, old, strict=False)
    _set_mode(fd, seen)


def _is_owned_alike(fd: int, seen: os.stat_result) -> bool:
    mine = os.fstat(fd)
    return (mine.st_uid, mine.st_gid) == (seen.st_uid, seen.st_gid)


def _set_mode(fd: int, seen: os.stat_result) -> None:
    """Set the permissions; those of a group that is not the old one's are left out."""
    if not hasattr(os, "fchmod"):
        return
    mode = seen.st_mode & _PERMISSIONS
    if os.fstat(fd).st_gid != seen.st_gid:
        with suppress(OSError):
            os.fchown(fd, -1, seen.st_gid)
        if os.fstat(fd).st_gid != seen.st_gid:
            mode &= ~_GROUP
    os.fchmod(fd, mode)


def _copy_attributes(fd: int, source: int | str, *, strict: bool) -> None:
    """Copy the attributes that users set, and the access list; all others are set by the system."""
    for name in _attributes(source):
        try:
            os.setxattr(fd, name, os.getxattr(source, name))
        except OSError as error:
            if strict and error.errno not in _NO_XATTR:
                raise


def _attributes(source: int | str) -> Iterator[str]:
    if not hasattr(os, "listxattr"):
        return
    try:
        names = os.listxattr(source)
    except OSError as error:
        if error.errno in _NO_XATTR:
            return
        raise
    yield from (name for name in names if name.startswith("user.") or name == _ACL)
