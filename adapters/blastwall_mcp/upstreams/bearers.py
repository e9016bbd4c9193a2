"""What proves us to a server over HTTP: read where it is kept, sent to that server, and told nobody."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from blastwall.egress.credentials import read
from blastwall.egress.decide import covers, pattern
from blastwall.egress.placeholders import Held
from blastwall.egress.scrub import scrubbed
from blastwall.errors import BackendError
from blastwall.values import Credential, Server
from blastwall_mcp.upstreams.oauth import Authorized


class Bearer(Protocol):
    """Gives the token for each request."""

    async def token(self) -> str:
        """Give it; "" if there is none to be sent.

        Raises:
            BackendError: it can't be had; says what to do.

        """
        ...

    async def refused(self, status: int, challenge: str) -> bool:
        """Take word that a server did not accept it; say whether another one may be tried at once."""
        ...


class Nobody:
    """Nothing proves us."""

    async def token(self) -> str:
        """Give none."""
        return ""

    async def refused(self, status: int, challenge: str) -> bool:
        """Have no other."""
        return False


class Kept:
    """A credential of the policy, read once for each connection, and again when it is refused."""

    def __init__(self, credential: Credential, host: str) -> None:
        """Read nothing yet.

        Raises:
            BackendError: the credential is not for this host.

        """
        if not any(covers(pattern(text), host) for text in credential.hosts):
            raise BackendError(
                f"the credential {credential.name} is not for {host}: add it to its `hosts` in the policy, or"
                " take `credential` out of the server"
            )
        self._credential = credential
        self._value = ""

    async def token(self) -> str:
        """Give it."""
        if not self._value:
            self._value = (await asyncio.to_thread(read, self._credential)).value
        return self._value

    async def refused(self, status: int, challenge: str) -> bool:
        """Read it anew: it may have been replaced."""
        before, self._value = self._value, ""
        return status == 401 and await self.token() != before


def bearer(connector: str, server: Server, credentials: Mapping[str, Credential], host: str) -> Bearer:
    """Give what proves us to a server, as the policy says.

    Raises:
        BackendError: there is none.

    """
    if server.oauth is not None:
        return Authorized(connector, server)
    name = server.credential
    if not name:
        return Nobody()
    if name not in credentials:
        raise BackendError(
            f"connector {connector} names the credential {name}, which the policy does not have"
        )
    return Kept(credentials[name], host)


def clean(data: bytes, token: str) -> bytes:
    """Take a token out of what a server says, however it spells it."""
    if not token:
        return data
    return scrubbed((Held("token", b"[token]", token.encode(), ()),), data)
