"""What to do when the bytes of an AOF are wrong: cut, read on behind the damage, and put the result in its place."""

from rdbkit.repair.account import Doubt, Dropped, Repaired, RepairedFile
from rdbkit.repair.cuts import NothingThere
from rdbkit.repair.run import repair

__all__ = ["Doubt", "Dropped", "NothingThere", "Repaired", "RepairedFile", "repair"]
