"""A real server for a test: started on a free loopback port, asked through a socket, stopped by its process id."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

PATIENCE = 20.0  # seconds until a server that does not answer has failed


class ReplyError(Exception):
    """An error reply: raised by `command`, a value among others in what `pipe` returns."""


def executable(name: str = "server") -> str | None:
    """Path of the server, or of its tool `check-rdb` or `check-aof`; of the product that is installed.

    It is of one directory of the PATH that has the server with its tools, if any: a package may bring a server alone.
    """
    for product in ("redis", "valkey"):
        for directory in os.get_exec_path():
            tools = [shutil.which(f"{product}-{one}", path=directory) for one in ("server", "check-rdb", "check-aof")]
            if all(tools):
                return shutil.which(f"{product}-{name}", path=directory)
    for product in ("redis", "valkey"):
        found = shutil.which(f"{product}-{name}")
        if found:
            return found
    return None


def version_of(program: str) -> tuple[int, ...]:
    """Version of a server: (7, 0, 15)."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    numbers = re.search(r"v=(\d+)\.(\d+)\.(\d+)", said)
    assert numbers, said
    return tuple(map(int, numbers.groups()))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Client:
    """The little of RESP2 that a test needs: bytes, int, None, lists; text replies as bytes too."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.file = self.socket.makefile("rb")

    def send(self, *args: bytes | str | int | float) -> None:
        words = [arg if isinstance(arg, bytes) else str(arg).encode() for arg in args]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))

    def read(self) -> Any:
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, text = line[:1], line[1:-2]
        if kind == b"+":
            return text
        if kind == b"-":
            return ReplyError(text.decode(errors="replace"))
        if kind == b":":
            return int(text)
        size = int(text)
        if size < 0:
            return None
        if kind == b"*":
            return [self.read() for _ in range(size)]
        assert kind == b"$", line
        return self.file.read(size + 2)[:-2]

    def close(self) -> None:
        self.file.close()
        self.socket.close()


class Server:
    """One running server. Make it with `start`; `config` are settings with _ for -, saving is off unless asked for."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, directory: Path, version: tuple[int, ...]) -> None:
        self.process = process
        self.port = port
        self.directory = directory
        self.version = version
        self.client: Client | None = None

    @classmethod
    def start(cls, directory: Path, program: str | None = None, **config: object) -> Server:
        """Start a server on the files in `directory`; it answers when this returns. RuntimeError if it does not."""
        program = program or executable()
        assert program, "no server on the PATH"
        version = version_of(program)
        port = _free_port()
        # Quotes keep a directory or an empty value one word.
        settings: dict[str, object] = {"port": port, "bind": "127.0.0.1", "dir": f'"{directory}"', "save": '""'}
        if version >= (7,):
            settings["enable-debug-command"] = "yes"
        settings |= {name.replace("_", "-"): value for name, value in config.items()}
        lines = "".join(f"{name} {value}\n" for name, value in settings.items())
        with (directory / "server.log").open("ab") as log:
            process = subprocess.Popen([program, "-"], stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=directory)
        assert process.stdin
        process.stdin.write(lines.encode())
        process.stdin.close()
        server = cls(process, port, directory, version)
        try:
            server._wait()
        except BaseException:
            server.stop()
            raise
        return server

    def _wait(self) -> None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self.process.poll() is None:
            try:
                self.client = Client(self.port)
                if self.command("PING") == b"PONG":
                    return
            except (OSError, ReplyError):  # not yet listening, or still loading
                self._hang_up()
            time.sleep(0.02)
        raise RuntimeError("the server did not come up:\n" + self.log()[-2000:])

    def log(self) -> str:
        """All its output so far."""
        return (self.directory / "server.log").read_text(errors="replace")

    def command(self, *args: bytes | str | int | float) -> Any:
        """Send one command and return its reply; ReplyError if that is an error."""
        assert self.client, "the server was stopped"
        self.client.send(*args)
        reply = self.client.read()
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def pipe(self, commands: bytes) -> list[Any]:
        """Send a stream of commands as it is, and return all replies, errors among them."""
        assert self.client, "the server was stopped"
        mark = b"end of pipe %d" % time.monotonic_ns()
        self.client.socket.sendall(commands)
        self.client.send("ECHO", mark)
        replies = []
        while (reply := self.client.read()) != mark:
            replies.append(reply)
        return replies

    def _hang_up(self) -> None:
        if self.client:
            self.client.close()
            self.client = None

    def stop(self) -> None:
        """End the process, without a save; more than once is fine."""
        self._hang_up()
        if self.process.poll() is None:
            os.kill(self.process.pid, 9)
        self.process.wait(PATIENCE)
