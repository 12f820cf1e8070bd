"""Formats that rdbkit does not read, and what to do with each: such a file is named, not reported as damaged.

Sources: the documented magic numbers of each format.
"""

from __future__ import annotations

import re

_UNPACK = "unpack it first"
_OTHER_FILE = "check that this is the file you meant"
_PAGE = "what was to be fetched was not there: fetch it again"

#: The first bytes, what they mean, and what to do.
_MAGICS: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a zip archive", f"{_UNPACK}, or read one member: unzip -p FILE | rdbkit check -"),
    (b"PK\x05\x06", "an empty zip archive", _OTHER_FILE),
    (b"PK\x07\x08", "a part of a zip archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", f"{_UNPACK}, or read one member: 7z e -so FILE | rdbkit check -"),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"!<arch>\n", "an ar archive", _UNPACK),
    (b"070701", "a cpio archive", _UNPACK),
    (b"070707", "a cpio archive", _UNPACK),
    (b"\xed\xab\xee\xdb", "an RPM package", _OTHER_FILE),
    (b"MSCF\0\0\0\0", "a cabinet archive", _UNPACK),
    (b"\x1f\x9d", "a file of compress (.Z)", f"{_UNPACK}: uncompress -c FILE | rdbkit check -"),
    (b"LZIP\x01", "an lzip file", f"{_UNPACK}: lzip -dc FILE | rdbkit check -"),
    (b"\x89LZO\0\r\n\x1a\n", "an lzop file", f"{_UNPACK}: lzop -dc FILE | rdbkit check -"),
    (b"\x02\x21\x4c\x18", "an lz4 file in the legacy format", f"{_UNPACK}: lz4 -dc FILE | rdbkit check -"),
    (b"\xff\x06\0\0sNaPpY", "a snappy file", _UNPACK),
    (b"qpress10", "a qpress archive", _UNPACK),
    (b"Salted__", "a file that openssl encrypted", "decrypt it first"),
    (b"age-encryption.org/v1", "a file that age encrypted", "decrypt it first"),
    (b"-----BEGIN PGP MESSAGE", "a file that gpg encrypted", "decrypt it first"),
    (b"-----BEGIN ", "a PEM file (a key or a certificate)", _OTHER_FILE),
    (b"\x7fELF", "an ELF program or core dump", _OTHER_FILE),
    (b"\xcf\xfa\xed\xfe", "a Mach-O program", _OTHER_FILE),
    (b"\x89PNG\r\n\x1a\n", "a PNG image", _OTHER_FILE),
    (b"GIF87a", "a GIF image", _OTHER_FILE),
    (b"GIF89a", "a GIF image", _OTHER_FILE),
    (b"\xff\xd8\xff", "a JPEG image", _OTHER_FILE),
    (b"%PDF-", "a PDF document", _OTHER_FILE),
    (b"%!PS", "a PostScript document", _OTHER_FILE),
    (b"SQLite format 3\0", "an SQLite database", _OTHER_FILE),
    (b"PAR1", "a Parquet file", _OTHER_FILE),
    (b"ARROW1\0\0", "an Arrow file", _OTHER_FILE),
    (b"Obj\x01", "an Avro file", _OTHER_FILE),
    (b"LUKS\xba\xbe", "a LUKS volume", _OTHER_FILE),
    (b"\xca\xfe\xba\xbe", "a Java class or a Mach-O program", _OTHER_FILE),
    (b"#!/", "a script", _OTHER_FILE),
    (b"UkVESVMw", "an RDB as base64 text", "decode it first: base64 -d FILE | rdbkit check -"),
    (b"VkFMS0VZ", "an RDB as base64 text", "decode it first: base64 -d FILE | rdbkit check -"),
    (b"5245444953", "an RDB as hexadecimal text", "decode it first: xxd -r -p FILE | rdbkit check -"),
    (b"56414c4b4559", "an RDB as hexadecimal text", "decode it first: xxd -r -p FILE | rdbkit check -"),
    (b"00000000: 5245 4449 53", "a hex dump of an RDB", "decode it first: xxd -r FILE | rdbkit check -"),
    (b"version https://git-lfs.github.com/", "a Git LFS pointer", "fetch the file itself: git lfs pull"),
)

_REPLY = re.compile(rb"(-[A-Z]{3,20} [ -~]{0,200})\r?\n")
_MARKUP = (
    (re.compile(rb"HTTP/[12]"), "an answer of a web server"),
    (re.compile(rb"<!doctype html|<html[\s>]", re.IGNORECASE), "an HTML page"),
    (re.compile(rb"<\?xml|<Error>|<[A-Za-z][\w:.-]*[\s>/]"), "an XML document"),
)
_JSON = re.compile(rb"[{\[]\s*(?:[\"{\[\]}0-9-]|true|false|null)")
_LOG = re.compile(
    rb"(?:\[?[0-9]+\]?:[MSCXR] )?(?:[0-9]{1,2} [A-Z][a-z]{2} (?:[0-9]{4} )?|[0-9]{4}-[0-9]{2}-[0-9]{2}[ T])"
    rb"[0-9]{2}:[0-9]{2}:[0-9]{2}"
)
_SETTING = re.compile(
    rb"^[ \t]*(?:bind|port|dir|save|dbfilename|append(?:only|filename|dirname|fsync)|protected-mode|daemonize|"
    rb"loglevel|logfile|databases|requirepass|masterauth|include|maxmemory(?:-policy)?|tcp-backlog|timeout|"
    rb"replicaof|slaveof|user|rename-command|rdbchecksum|rdbcompression|pidfile|supervised|cluster-enabled)"
    rb"[ \t]+\S",
    re.MULTILINE,
)
#: Settings that make a file a redis.conf.
_SETTINGS = 2
_TAR_BLOCK = 512
#: Types of headers that describe the next one (POSIX pax, GNU long names), and how many of them are skipped.
_TAR_EXTENSIONS = (b"x", b"g", b"L", b"K")
_TAR_HEADERS = 8


def foreign(head: bytes) -> str:
    """Return the name of the other format that begins with these bytes, and what to do; "" if none is known."""
    for magic, name, remedy in _MAGICS:
        if head.startswith(magic):
            return f"{name}: {remedy}"
    return _tar(head) or _disk(head)


def foreign_text(head: bytes) -> str:
    """Return the same for text; call it only if neither a command nor an RDB follows the text."""
    return _reply(head) or _markup(head) or _lines(head)


def _tar(head: bytes) -> str:
    """Recognise a tar archive by the checksum of its first header, which every variant has; name its first file."""
    at, name = 0, ""
    for _ in range(_TAR_HEADERS):
        block = head[at : at + _TAR_BLOCK]
        if not _is_tar_header(block):
            break
        name = block[:100].split(b"\0")[0].decode("utf-8", "backslashreplace")
        if block[156:157] not in _TAR_EXTENSIONS:
            break
        # A header that describes the next one is followed by its data.
        digits = block[124:136].strip(b" \0")
        size = int(digits, 8) if digits and not digits.strip(b"01234567") else 0
        at += _TAR_BLOCK * (1 - -size // _TAR_BLOCK)
    if not name:
        return ""
    remedy = f"{_UNPACK}, or read one member: tar -xOf FILE MEMBER | rdbkit check -"
    return f"a tar archive (first member {name!r}): {remedy}"


def _is_tar_header(block: bytes) -> bool:
    if len(block) < _TAR_BLOCK or not block[0]:
        return False
    field = block[148:156].strip(b" \0")
    total = sum(block) - sum(block[148:156]) + 8 * 0x20
    return bool(field) and not field.strip(b"01234567") and int(field, 8) == total


def _reply(head: bytes) -> str:
    reply = _REPLY.match(head)
    if reply is None:
        return ""
    what = "with the password" if reply[1].startswith((b"-NOAUTH", b"-WRONGPASS")) else "once the server can give it"
    return f"an error reply of a server, {reply[1][:80].decode()!r}: fetch it again {what}"


def _markup(head: bytes) -> str:
    text = head[:256].removeprefix(b"\xef\xbb\xbf").lstrip()
    for pattern, name in _MARKUP:
        if pattern.match(text):
            return f"{name}: {_PAGE}"
    if _JSON.match(text):
        return f"a JSON document: {_OTHER_FILE}"
    return ""


def _lines(head: bytes) -> str:
    text = head[: 1 << 16]
    if b"\0" in text:
        return ""
    if len(_SETTING.findall(text)) >= _SETTINGS:
        return f"a configuration file (redis.conf): {_OTHER_FILE}"
    return f"a log: {_OTHER_FILE}" if _LOG.match(text) else ""


def _disk(head: bytes) -> str:
    if head[32769:32774] == b"CD001" or head[1080:1082] == b"\x53\xef":
        return f"an image of a disk: {_OTHER_FILE}"
    if head[:2] == b"MZ" and head[78:117].startswith(b"This program"):
        return f"a Windows program: {_OTHER_FILE}"
    return ""
