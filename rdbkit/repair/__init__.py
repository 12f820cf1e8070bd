"""What to do when the bytes of an AOF are wrong: cut, read on behind the damage, and put the result in its place."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rdbkit.repair.account import Repaired
    from rdbkit.target import Target

__all__ = ["repair"]


def repair(
    path: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str] | None = None,
    policy: str = "keep-most",
    in_place: bool = False,
    force: bool = False,
    dry_run: bool = False,
    until_time: int | None = None,
    until_offset: int | None = None,
    before: bytes | None = None,
    db: int | None = None,
    target: Target | None = None,
    progress: Callable[[int, int], object] | None = None,
    **system: Any,
) -> Repaired:
    """Make a sound AOF, or set of AOFs, of a damaged one, and tell what was kept and what was lost.

    The arguments are those of repair.run.repair, which is imported only when it is needed.
    """
    from rdbkit.repair.run import repair as run

    return run(
        path,
        output=output,
        policy=policy,
        in_place=in_place,
        force=force,
        dry_run=dry_run,
        until_time=until_time,
        until_offset=until_offset,
        before=before,
        db=db,
        target=target,
        progress=progress,
        **system,
    )
