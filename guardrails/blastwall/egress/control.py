"""The gate's own line to its host: decisions out, acknowledgements and new listeners in."""

import asyncio
import json
import os
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

from blastwall.egress.decide import Decision

LARGEST = 1 << 17
"""Longest message."""

_CREDENTIALS = struct.Struct("3i")


class Control:
    """The proxy's end of the line."""

    def __init__(self, line: socket.socket) -> None:
        """Own it."""
        line.setblocking(False)
        self._line = line
        self._number = 0
        self._hung_up = False
        self._waiting: dict[int, asyncio.Future[bool]] = {}
        self._sending = asyncio.Lock()

    async def say(self, message: dict[str, Any]) -> None:
        """Send one message."""
        async with self._sending:
            await asyncio.get_running_loop().sock_sendall(self._line, json.dumps(message).encode())

    async def record(self, decision: Decision) -> bool:
        """Send a decision to the host, and wait until it says whether it is recorded."""
        if self._hung_up:
            return False
        self._number += 1
        number = self._number
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await self.say({"decision": number, **asdict(decision)})
            return bool(await answer)
        except OSError:
            return False
        finally:
            del self._waiting[number]

    async def orders(self) -> AsyncIterator[tuple[str, socket.socket]]:
        """Give what the host wants to be served, until it hangs up."""
        try:
            while True:
                await readable(self._line.fileno())
                data, descriptors, *_ = socket.recv_fds(self._line, LARGEST, 1, socket.MSG_CMSG_CLOEXEC)
                if not data:
                    return
                message = json.loads(data)
                for descriptor in descriptors:
                    yield message["serve"], socket.socket(fileno=descriptor)
                if "ack" in message:
                    self._answered(message["ack"], message["recorded"])
        except OSError:
            return
        finally:
            self._hung_up = True
            for number in list(self._waiting):
                self._answered(number, False)

    def _answered(self, number: int, recorded: bool) -> None:
        answer = self._waiting.get(number)
        if answer is not None and not answer.done():
            answer.set_result(recorded)


async def listener(line: socket.socket) -> tuple[socket.socket, int] | None:
    """Wait for the one listening socket that comes out of a sandbox.

    Gives a descriptor too, of the process that sent it, which becomes readable at its end. None when nothing
    came that is a listener on a loopback address.
    """
    with line:
        line.setblocking(False)
        await readable(line.fileno())
        space = socket.CMSG_SPACE(4 * 4) + socket.CMSG_SPACE(_CREDENTIALS.size)
        _, ancillary, *_ = line.recvmsg(64, space, socket.MSG_CMSG_CLOEXEC)
    sender, sockets = 0, []
    for _, kind, data in ancillary:
        if kind == socket.SCM_CREDENTIALS:
            sender = _CREDENTIALS.unpack(data)[0]
        elif kind == socket.SCM_RIGHTS:
            sockets += [
                socket.socket(fileno=fd) for (fd,) in struct.iter_unpack("i", data[: len(data) // 4 * 4])
            ]
    try:
        if len(sockets) == 1 and _is_listener(sockets[0]):
            sender_end = os.pidfd_open(sender)
            return sockets.pop(), sender_end
    except OSError:
        pass
    finally:
        for sock in sockets:
            sock.close()
    return None


def _is_listener(sock: socket.socket) -> bool:
    inet = sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_STREAM
    if not inet or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return False
    return bool(sock.getsockname()[0] in ("127.0.0.1", "::1"))


async def readable(descriptor: int) -> None:
    """Wait until there is something to read."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
