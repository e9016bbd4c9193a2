"""Starting a server to ask which tools it has: in a sandbox without a network, for seconds, and once.

Nothing that it says is more than data: lines and pages are counted, and what does not come in time is not
waited for.
"""

import json
import os
import select
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from blastwall.clients.cached import cached
from blastwall.clients.servers import Configured
from blastwall.errors import BackendError
from blastwall.sandbox.launch import launch
from blastwall.sandbox.running import Running
from blastwall.trust.packages import package, unwrapped
from blastwall.values import Profile

TIME_S = 30.0
"""How long a server may take to say which tools it has."""

MOST_BYTES = 1 << 23
MOST_TOOLS = 1000
VERSION = "2025-11-25"

_OFFLINE = (
    ("npm_config_offline", "true"),
    ("npm_config_update_notifier", "false"),
    ("npm_config_logs_max", "0"),
    ("UV_OFFLINE", "1"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
)


@dataclass(frozen=True, slots=True)
class Listed:
    """What a server said when it was asked.

    Attributes:
        tools: The raw definitions of its tools.
        instructions: What it tells every agent.

    """

    tools: tuple[dict[str, Any], ...]
    instructions: str = ""


def listed(server: Configured) -> Listed:
    """Start a server in a sandbox and ask for its tools.

    Raises:
        BackendError: when it can't be started or does not answer properly; the message says what to do.

    """
    command = cached(server.command, os.path.expanduser("~")) or server.command
    program = shutil.which(command[0])
    if program is None:
        raise BackendError(f"there is no program {command[0]!r}")
    argv = (program, *command[1:])
    profile = Profile(
        "scan",
        read=tuple(_readable(argv)),
        env=(*_OFFLINE, *server.env),
        timeout_s=2 * TIME_S,
    )
    with launch(argv, profile) as running:
        try:
            return _Talk(running).listed()
        except (BackendError, OSError) as error:
            why = str(error) or type(error).__name__
            raise BackendError(f"it did not say which tools it has: {why}{_advice(server)}") from None


def _advice(server: Configured) -> str:
    if package(server.command) is None:
        return ". It had no network and none of your files"
    return (
        ". It would have been fetched first, and there is no network here: install it, and name its program"
    )


def _readable(argv: Sequence[str]) -> Iterator[Path]:
    """Give what the program is made of, and what it is started on: nothing above it, and no home folder."""
    for word in (argv[0], *(word for word in unwrapped(argv) if os.path.isabs(word))):
        real = os.path.realpath(word)
        for place in {_installed(word), _installed(real)}:
            if os.path.exists(place) and not _too_wide(place):
                yield Path(place)


def _installed(path: str) -> str:
    """Give the folder that a program was installed as a whole, such as a virtual environment."""
    parts = path.split(os.sep)
    if "node_modules" in parts:
        return os.sep.join(parts[: parts.index("node_modules") + 1])
    if len(parts) > 3 and parts[-2] == "bin":
        return os.sep.join(parts[:-2])
    return path


def _too_wide(path: str) -> bool:
    home = os.path.realpath(os.path.expanduser("~"))
    return os.path.commonpath((os.path.realpath(path), home)) == os.path.realpath(path)


class _Talk:
    """A few questions and their answers, over a server's pipes."""

    def __init__(self, running: Running) -> None:
        self._out, self._in = running.stdout, _needed(running.stdin)
        self._until = time.monotonic() + TIME_S
        self._left = MOST_BYTES
        self._held = b""
        self._number = 0

    def listed(self) -> Listed:
        client = {"name": "blastwall-scan", "version": "1"}
        hello = self._ask(
            "initialize", {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": client}
        )
        self._send({"method": "notifications/initialized"})
        said = hello.get("instructions")
        capabilities = hello.get("capabilities")
        has_tools = isinstance(capabilities, dict) and "tools" in capabilities
        tools = tuple(self._tools()) if has_tools else ()
        return Listed(tools, said if isinstance(said, str) else "")

    def _tools(self) -> Iterator[dict[str, Any]]:
        params: dict[str, Any] = {}
        count = 0
        while count <= MOST_TOOLS:
            page = self._ask("tools/list", params)
            tools = page.get("tools")
            if not isinstance(tools, list):
                raise BackendError("it gave no list of tools")
            yield from (
                tool for tool in tools if isinstance(tool, dict) and isinstance(tool.get("name"), str)
            )
            count += len(tools) + 1
            if not isinstance(page.get("nextCursor"), str):
                return
            params = {"cursor": page["nextCursor"]}
        raise BackendError(f"it lists more than {MOST_TOOLS} tools")

    def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        self._send({"id": self._number, "method": method, "params": params})
        while True:
            message = self._receive()
            if message.get("id") == self._number and "method" not in message:
                result = message.get("result")
                if not isinstance(result, dict):
                    raise BackendError(f"it refuses {method}")
                return result
            if "id" in message and "method" in message:
                self._send({"id": message["id"], "error": {"code": -32601, "message": "not here"}})

    def _send(self, message: dict[str, Any]) -> None:
        data = json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
        while data:
            self._wait(self._in, write=True)
            data = data[os.write(self._in.fileno(), data[: select.PIPE_BUF]) :]

    def _receive(self) -> dict[str, Any]:
        """Give the next message; what is none is passed over, as clients do."""
        while True:
            line = self._line()
            try:
                message = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(message, dict):
                return message

    def _line(self) -> bytes:
        pieces = [self._held]
        while b"\n" not in pieces[-1]:
            self._wait(self._out)
            piece = os.read(self._out.fileno(), 1 << 16)
            self._left -= len(piece)
            if not piece:
                raise BackendError("it ended")
            if self._left < 0:
                raise BackendError(f"it says more than {MOST_BYTES >> 20} MiB")
            pieces.append(piece)
        line, _, self._held = b"".join(pieces).partition(b"\n")
        return line

    def _wait(self, pipe: IO[bytes], *, write: bool = False) -> None:
        left = max(self._until - time.monotonic(), 0)
        ready = select.select([] if write else [pipe], [pipe] if write else [], [], left)
        if not any(ready):
            raise BackendError(f"nothing came within {TIME_S:g} s")


def _needed(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:  # pragma: no cover  # no input was given, so there is a pipe
        raise BackendError("a server has no pipes")
    return pipe
