"""From a name to the one address that is connected to: asked once, checked, and kept."""

import asyncio
import contextlib
import ipaddress
import os
import socket
import time
import weakref
from collections.abc import Awaitable, Callable, Iterable

from blastwall.egress import spelling
from blastwall.egress.networks import Address, Unreachable, is_public, named

Lookup = Callable[[str], Awaitable[Iterable[str]]]

TIMEOUT_S = 10.0
KEPT_S = 300.0
MOST_KEPT = 1024


class Resolver:
    """Names and their addresses, for one session: a name that changes its mind is not listened to."""

    def __init__(
        self, lookup: Lookup | None = None, own: Callable[[], frozenset[Address]] | None = None
    ) -> None:
        """Start with nothing known.

        Args:
            lookup: Asks for the addresses of a name; the system's own resolver unless a test gives another.
            own: Gives this machine's addresses.

        """
        self._lookup = lookup or _system
        self._own = own or Interfaces()
        self._known: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._asking: dict[str, asyncio.Task[tuple[str, ...]]] = {}

    def knows(self, host: str) -> bool:
        """Say whether nobody has to be asked for a host."""
        kept = self._known.get(host)
        return (
            spelling.is_address(host)
            or host in self._asking
            or (kept is not None and kept[0] > time.monotonic())
        )

    async def addresses(self, host: str, pinned: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Give the addresses of a canonical host that may be connected to.

        Args:
            host: The name or address.
            pinned: The only addresses that it has, as the policy says; nobody is asked then.

        Raises:
            Unreachable: when there is none, or when any of them is not of the public internet: a name
                that leads inward once is not to be trusted.

        """
        if pinned or spelling.is_address(host):
            return tuple(named(text) for text in pinned or (host,))
        kept = self._known.get(host)
        if kept is not None and kept[0] > time.monotonic():
            return kept[1]
        if host not in self._asking:
            self._asking[host] = asyncio.create_task(self._ask(host))
            self._asking[host].add_done_callback(lambda _: self._asking.pop(host))
        return await asyncio.shield(self._asking[host])

    async def _ask(self, host: str) -> tuple[str, ...]:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                found = tuple(dict.fromkeys(await self._lookup(host)))
        except TimeoutError:
            raise Unreachable(f"the name {host} was not resolved in time") from None
        except (OSError, UnicodeError):
            raise Unreachable(f"the name {host} can't be resolved") from None
        own = self._own()
        if not found or not all(is_public(text, own) for text in found):
            raise Unreachable(f"the name {host} has an address that is not of the public internet")
        if len(self._known) >= MOST_KEPT:
            self._known.pop(next(iter(self._known)))
        self._known[host] = (time.monotonic() + KEPT_S, found)
        return found


async def _system(host: str) -> Iterable[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Interfaces:
    """The addresses of this machine, as the kernel lists them: files opened while that is allowed."""

    def __init__(self) -> None:
        """Open them; a kernel without IPv6 has one only."""
        self._files: dict[str, int] = {}
        for name in ("if_inet6", "fib_trie"):
            with contextlib.suppress(OSError):
                self._files[name] = os.open(f"/proc/net/{name}", os.O_RDONLY | os.O_CLOEXEC)
                weakref.finalize(self, os.close, self._files[name])

    def __call__(self) -> frozenset[Address]:
        """Read them anew."""
        six = {bytes.fromhex(line.split()[0]) for line in self._lines("if_inet6")}
        found: set[Address] = set(map(ipaddress.IPv6Address, six))
        before = ""
        for line in self._lines("fib_trie"):
            if "/32 host LOCAL" in line:
                found.add(ipaddress.IPv4Address(before.split()[-1]))
            before = line
        return frozenset(found)

    def _lines(self, name: str) -> list[str]:
        if name not in self._files:
            return []
        with open(self._files[name], encoding="utf-8", closefd=False) as file:
            file.seek(0)
            return file.readlines()
