"""Recognises what an input is, by its first bytes and a limited number of further ones, for all commands.

    rdb          REDIS or VALKEY
    aof          a command, or an annotation before one
    manifest     of a multi-part AOF
    damaged-aof  commands follow, but something else comes first: the head is cut off, a byte order mark, a log line
    line-ends    an AOF whose CR LF became LF, or CR CR LF
    damaged      a damaged RDB or AOF: copied as text, NUL bytes, bytes before an RDB, its first bytes wrong
    foreign      another format, named: an archive, an error page, a configuration file
    unknown      none of these
    empty

`Recognised.error` is what every command raises for an input that it cannot read; its class determines the exit status:
Corrupt (1) for a damaged Redis or Valkey file, Unsupported (3) for any other file.

Sources: magic numbers as documented by each format; files of real servers for what these write at the start of a file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from rdbkit.errors import Corrupt, RdbkitError, Truncated, Unsupported
from rdbkit.source.foreign import foreign, foreign_text

#: Bytes that are searched for commands if the first ones are not recognised.
LOOK = 1 << 20
#: No format has this many NUL bytes in a row.
NULS = 16
#: Bytes in which an RDB whose first bytes are damaged or missing can be recognised.
_NEAR = 64
#: The most bytes that the auxiliary fields of an RDB take.
_FIELDS = 512
#: Characters of a line that a message quotes.
_QUOTED = 60

_MAGIC = re.compile(rb"REDIS[0-9]{4}|VALKEY[0-9]{3}")
_MAGIC_INSIDE = re.compile(rb"(?:REDIS00[01][0-9]|VALKEY0[0-9]{2})[\x00-\x1f\xf0-\xff]")
_COMMAND = re.compile(rb"\*(?:[0-9+\- \t\v\f]|\r?\n|\r?\Z)")
_ANNOTATIONS = re.compile(rb"(?:#[^\n]*\n)*(?:\*[0-9]|#TS:[0-9])")
_MANIFEST = re.compile(rb"(?:#[^\n]*\n)*file [^\n]+ (?:seq|type) ", re.IGNORECASE)
# A record whose first argument is a name; with CR LF, or the result of a conversion of it.
_RECORD = re.compile(rb"\*[1-9][0-9]{0,8}(\r?\r?\n)\$([1-9][0-9]?)\r?\r?\n([A-Za-z][A-Za-z0-9._|-]*)\r?\r?\n")
_ARGUMENT = re.compile(rb"\$([0-9]{1,9})\r\n")
_NEXT = re.compile(rb"[$*][0-9]|#TS:")
# Two headers and the name between them, with the same line end after each.
_LF = re.compile(rb"(?:#[^\r\n]*\n)*\*[1-9][0-9]{0,8}\n\$([0-9]{1,9})\n")
_LINE = re.compile(rb"[^\r\n]*\r\n")
_CRCRLF = re.compile(rb"(?:#[^\r\n]*\r\r\n)*\*[1-9][0-9]{0,8}\r\r\n\$[0-9]{1,9}\r\r\n")
# The first auxiliary field of an RDB, with the length before it.
_FIRST_AUX = re.compile(rb"\x09redis-ver|\x0avalkey-ver")
_AUX = re.compile(rb"\xfa(?:\x09redis-ver|\x0avalkey-ver|\x0aredis-bits)")
# The field that marks an RDB as the first part of an AOF.
_BEFORE_COMMANDS = re.compile(rb"\x08aof-base\xc0\x01|\x0caof-preamble\xc0\x01")
_FEED = re.compile(rb"\xfa\r\n(?:redis-bits|valkey-ver)")


@dataclass(frozen=True, slots=True)
class Recognised:
    """What an input is. `offset` is that of the damage, else the start.

    `code` and `message` are those of `error`; None and "" for the formats that rdbkit reads.
    """

    kind: str
    offset: int = 0
    code: str = ""
    message: str = ""

    @property
    def holds_commands(self) -> bool:
        """Whether this is a log of commands, valid or damaged."""
        return self.kind in ("aof", "damaged-aof", "line-ends")

    def error(self) -> RdbkitError:
        """Return the error to raise for an input that rdbkit cannot read."""
        if self.kind == "empty":
            return Truncated(self.message, offset=self.offset, code=self.code)
        if self.kind in ("foreign", "unknown"):
            return Unsupported(self.message, offset=self.offset, code=self.code)
        return Corrupt(self.message, offset=self.offset, code=self.code)


def recognise(
    peek: bytes, start: int, look: Callable[[int], bytes], tail: Callable[[], bytes] = lambda: b""
) -> Recognised:
    """Recognise the input that begins with `peek` (the first 64 bytes, fewer only if there are no more) at `start`.

    `look(n)` returns up to n of the first bytes, `tail` the last ones of a long file (b"": not available).
    """
    if not peek:
        return Recognised("empty", start, "empty", "the file is empty")
    if _MAGIC.match(peek) or b"REDIS".startswith(peek[:5]) or b"VALKEY".startswith(peek[:6]):
        return _rdb(peek, start)
    if _COMMAND.match(peek) or peek.startswith(b"#TS:"):
        # A first line with the right end is enough; reading more would wait for a pipe.
        sound = _LINE.match(peek) is not None
        return (None if sound else _converted(look(1 << 12), start)) or Recognised("aof", start)
    return _other(look(LOOK), start, tail)


def _other(head: bytes, start: int, tail: Callable[[], bytes]) -> Recognised:
    """Recognise an input that begins neither as an RDB nor with a command."""
    if _MANIFEST.match(head):
        return Recognised("manifest", start)
    if _ANNOTATIONS.match(head):
        return Recognised("aof", start)
    name = foreign(head)
    if name:
        return Recognised("foreign", start, "foreign-format", name)
    text = _as_text(head, start)
    if text is not None:
        return text
    inside = _MAGIC_INSIDE.search(head)
    record = first_record(head)
    fields = _AUX.search(head, 0, _NEAR)
    if fields is not None and inside is None and (record < 0 or not _BEFORE_COMMANDS.search(head, 0, _FIELDS)):
        return _without_magic(head, fields.start(), start)
    name = "" if inside is not None or record >= 0 else foreign_text(head)
    if name:
        return Recognised("foreign", start, "foreign-format", name)
    if inside is not None and (record < 0 or inside.start() < record):
        return _preceded(head[: inside.start()], start)
    if record >= 0:
        return _damaged_head(head, record, start)
    nuls = len(head) - len(head.lstrip(b"\0"))
    if nuls >= NULS or nuls == len(head):
        what = f"the first {nuls} bytes are NUL" if nuls < len(head) else _all_nul(len(head))
        return Recognised("damaged", start, "nul-run", f"{what}: {NUL_CAUSES}")
    if _has_arguments(head) or first_record(tail()) >= 0:
        message = "a damaged AOF: its head is missing, it begins in the middle of a command"
        return Recognised("damaged-aof", start, "bad-aof", message)
    return Recognised("unknown", start, "not-rdb", "not a Redis or Valkey file")


# -- an RDB ------------------------------------------------------------------------------------------------------------


def _rdb(peek: bytes, start: int) -> Recognised:
    """Return the result for an RDB, whose first bytes may show that it was copied as text."""
    how = rdb_as_text(peek)
    if how:
        return Recognised("damaged", start + 9, "text-copy", how)
    return Recognised("rdb", start)


def rdb_as_text(head: bytes) -> str:
    """Describe how the first bytes of an RDB show that it was copied as text; "" if they do not.

    The byte after the magic is 0xfa, 0xfe or 0xff in every file; most conversions change it.
    """
    mark, second = head[9:10], head[10:11]
    if head[9:12] == b"\xef\xbf\xbd":
        return f"an RDB copied as text: bytes became UTF-8 replacement characters (EF BF BD): {_FOR_GOOD}"
    if mark in (b"\xc2", b"\xc3") and b"\x80" <= second <= b"\xbf":
        return "an RDB copied as text: its bytes were taken for Latin-1 and written as UTF-8"
    if _FEED.search(head):
        return "an RDB copied as text: LF became CR LF"
    first = _FIRST_AUX.search(head, 9, 24)
    if first is not None and head[9 : first.start()] != b"\xfa":
        made = head[9 : first.start()]
        if not made:
            return f"an RDB copied as text: bytes above 127 were left out: {_FOR_GOOD}"
        if made in (b"?", b"z"):
            what = "became question marks" if made == b"?" else "lost their highest bit"
            return f"an RDB copied as text: bytes above 127 {what}: {_FOR_GOOD}"
        return f"an RDB copied as text: the byte 0xfa after its magic became {made.hex(' ')}"
    return ""


_FOR_GOOD = "what they were cannot be known"


def _without_magic(head: bytes, fields: int, start: int) -> Recognised:
    """Return the result for an RDB that is recognised only by its first auxiliary fields, at an offset."""
    if fields in (9, 10):
        message = f"an RDB whose first bytes are damaged: {head[:9]!r} where REDIS or VALKEY and a version are due"
    else:
        message = (
            f"an RDB whose first bytes are missing: its auxiliary fields begin at offset {start + fields} instead of 9"
        )
    return Recognised("damaged", start, "bad-magic", message)


def _preceded(before: bytes, start: int) -> Recognised:
    message = f"an RDB begins at offset {start + len(before)}, with {_described(before)} before it"
    return Recognised("damaged", start, "leading-bytes", message)


# -- NUL bytes ---------------------------------------------------------------------------------------------------------

NUL_CAUSES = "space that was never written, as a sparse copy, a bad disk or a crash leaves it"


def _all_nul(seen: int) -> str:
    return f"the file holds NUL bytes only ({seen})" if seen < LOOK else f"the first {seen} bytes, at least, are NUL"


def nul_run(data: bytes, at: int) -> tuple[int, int] | None:
    """Return the start and end of the run of NUL bytes around a position of `data`; None if there is no such run."""
    if data[at : at + 1] != b"\0":
        return None
    rest = data[at:]
    before = data[:at]
    return len(before.rstrip(b"\0")), at + len(rest) - len(rest.lstrip(b"\0"))


# -- commands ----------------------------------------------------------------------------------------------------------


def first_record(data: bytes) -> int:
    """Return the position of the first record with a name of the stated length; -1 if there is none."""
    for match in _RECORD.finditer(data):
        if len(match[3]) == int(match[2]):
            return match.start()
    return -1


def _has_arguments(data: bytes) -> bool:
    """Return whether an argument is complete, and followed by another one, a record or the end of the data."""
    for match in _ARGUMENT.finditer(data):
        end = match.end() + int(match[1])
        rest = data[end + 2 : end + 6]
        if data[end : end + 2] == b"\r\n" and (end + 2 == len(data) or _NEXT.match(rest)):
            return True
    return False


def _converted(head: bytes, start: int) -> Recognised | None:
    """Recognise an AOF by its first line ends, if these were converted."""
    match = _LF.match(head)
    if match is not None:
        end = match.end() + int(match[1])
        # A file made by hand may have such headers and still end its values with two bytes, as servers require.
        if end + 1 < len(head) and not (head[end : end + 1] == b"\n" and head[end + 1 : end + 2] in b"$*#"):
            return None
        return _line_ends("LF", start)
    if _CRCRLF.match(head):
        return _line_ends("CR CR LF", start)
    return None


def _line_ends(made: str, start: int) -> Recognised:
    message = f"a damaged AOF: its line ends became {made}, as copying in text mode makes them"
    return Recognised("line-ends", start, "line-ends", message)


def _damaged_head(head: bytes, record: int, start: int) -> Recognised:
    if first_end(head, record) != b"\r\n":
        return _line_ends("LF" if first_end(head, record) == b"\n" else "CR CR LF", start)
    before = head[:record]
    if before == b"\xef\xbb\xbf":
        message = "a damaged AOF: a UTF-8 byte order mark (3 bytes) comes before its first command"
    else:
        what = _described(before)
        message = f"a damaged AOF: its first whole command is at offset {start + record}, with {what} before it"
    return Recognised("damaged-aof", start, "bad-aof", message)


def first_end(head: bytes, record: int) -> bytes:
    """Return the line end of the record that begins at an offset."""
    match = _RECORD.match(head, record)
    return match[1] if match else b""


def _described(before: bytes) -> str:
    """Return "15 bytes", and what they are if that can be recognised."""
    count = f"{len(before)} byte{'' if len(before) == 1 else 's'}"
    if not before.strip(b"\0"):
        return f"{count} of NUL"
    if not before.strip():
        return f"{count} of blank space"
    line = before.lstrip()[:_QUOTED].split(b"\n")[0].rstrip()
    if len(line) > 3 and line.isascii() and not line.startswith(b"$") and b" " in line:
        return f"{count} ({line.decode('ascii', 'backslashreplace')!r} …)"
    return count


# -- text --------------------------------------------------------------------------------------------------------------


def _as_text(head: bytes, start: int) -> Recognised | None:
    """Recognise an RDB or AOF in another encoding of text."""
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if head.startswith(mark):
            text = head[2:66].decode(encoding, "replace")
            if text.startswith(("REDIS", "VALKEY", "*")):
                what = "AOF" if text.startswith("*") else "RDB"
                message = f"an {what} copied as text: it was written as UTF-16, as a redirection in PowerShell does it"
                return Recognised("damaged", start, "text-copy", message)
    if head.startswith(b"\xef\xbb\xbf") and _MAGIC.match(head, 3):
        message = "an RDB copied as text: a UTF-8 byte order mark (3 bytes) comes before it"
        return Recognised("damaged", start, "text-copy", message)
    return None
