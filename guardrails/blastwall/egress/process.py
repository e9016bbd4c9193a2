"""The gate's process: outside of every sandbox, secrets in its memory only, with few rights of its own."""

import asyncio
import concurrent.futures.thread
import contextlib
import ctypes
import encodings.ascii
import encodings.idna
import encodings.latin_1
import json
import os
import resource
import signal
import socket
import sys
from typing import Any

from blastwall.egress.control import Control
from blastwall.egress.placeholders import Held
from blastwall.egress.proxy import Limits, Proxy
from blastwall.egress.serve import Service
from blastwall.errors import BackendError
from blastwall.values import Destination

NOBODY = 65534
_NO_NEW_PRIVS, _DUMPABLE = 38, 4
_MOST_FILES = 1 << 14
_MOST_WRITTEN = 1 << 16
"""Certificates pass through files that exist in memory only; nothing larger is ever written."""

LATER = (encodings.ascii, encodings.idna, encodings.latin_1, concurrent.futures.thread)
"""What the first look-up of a name imports, when this Python's files may not be readable any more."""


def main() -> None:
    """Serve the gate whose line is descriptor `argv[1]` and whose rules come on standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = socket.socket(fileno=int(sys.argv[1]))
    try:
        config = json.load(sys.stdin.buffer)
        parent = os.pidfd_open(config["parent"])
        if os.getppid() != config["parent"]:
            os._exit(1)
        asyncio.run(_serve(config, line, parent))
    except Exception as error:  # noqa: BLE001  # told to the host, which raises it
        text = str(error) if isinstance(error, BackendError) else type(error).__name__
        with contextlib.suppress(OSError):
            line.send(json.dumps({"failed": text}).encode())
        os._exit(1)


async def _serve(config: dict[str, Any], line: socket.socket, parent: int) -> None:
    control = Control(line)
    proxy = Proxy(
        [_destination(fields) for fields in config["destinations"]],
        [_held(fields) for fields in config["held"]],
        control.record,
        roots=config["roots"],
        limits=Limits(**config["limits"]),
    )
    asyncio.get_running_loop().add_reader(parent, os._exit, 0)
    harden()
    await control.say({"ready": "" if proxy.authority is None else proxy.authority.pem.decode()})
    await Service(proxy).obey(control)
    os._exit(0)


def _destination(fields: dict[str, Any]) -> Destination:
    known: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}
    return Destination(**known)


def _held(fields: dict[str, Any]) -> Held:
    return Held(
        fields["name"], fields["placeholder"].encode(), fields["value"].encode(), tuple(fields["hosts"])
    )


def harden() -> None:
    """Give up every right that serving needs not: what is imported is imported."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((_NO_NEW_PRIVS, 1), (_DUMPABLE, 0)):
        if libc.prctl(option, value, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _MOST_FILES if most == resource.RLIM_INFINITY else min(most, _MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MOST_WRITTEN, _MOST_WRITTEN))
    os.chdir("/")
