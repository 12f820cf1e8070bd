"""Start a server on what lies in a directory, see whether it comes up, and end it."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

from live.servers import Build

_PATIENCE = 60.0
#: In cluster mode the server listens on this port plus 10,000, too.
_LAST_PORT = 55535


def starts(build: Build, home: Path, *words: str, commands: bytes = b"", read: bytes = b"") -> bool:
    """Return whether a server comes up in a directory; `commands` are inline commands, each answered by +OK.

    `read` is an inline command that it must survive.
    """
    port = _LAST_PORT + 1
    while port > _LAST_PORT:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
    options = {"port": port, "bind": "127.0.0.1", "dir": home, "save": "", "logfile": home / "log"}
    given = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    process = subprocess.Popen([build.program, *given, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        if not _is_up(process, port):
            return False
        if commands:
            _send(port, commands)
        return not read or _survives(port, read)
    finally:
        process.kill()
        process.wait()


def _is_up(process: subprocess.Popen[bytes], port: int) -> bool:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if process.poll() is not None:
            return False
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(100).startswith(b"+PONG"):
                    return True
        except OSError:
            pass
        time.sleep(0.005)
    raise AssertionError("the server neither answers nor ends")


def _survives(port: int, read: bytes) -> bool:
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(read + b"\r\nPING\r\n")
        answer = b""
        while not answer.endswith(b"+PONG\r\n"):
            try:
                piece = connection.recv(1 << 16)
            except ConnectionError:
                return False
            if not piece:
                return False
            answer += piece
    return True


def _send(port: int, commands: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(commands)
        answer = b""
        while answer.count(b"+OK\r\n") < commands.count(b"\r\n"):
            piece = connection.recv(100)
            assert piece, answer
            answer += piece
