"""The logins that the keyring holds: what proves us to a server whose people log in with a browser."""

import asyncio
import json
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeGuard

from blastwall.errors import BackendError
from blastwall.values import Server

SERVICE = "blastwall mcp login"
"""What the keyring calls them all."""


@dataclass(frozen=True, slots=True)
class Login:
    """One login: tokens, and all that is needed to get new ones.

    Attributes:
        url: The server that the tokens are for; they are sent nowhere else.
        access: What is sent.
        refresh: What a new one is got with; empty if there is none.
        expires: When the first ends, in seconds since 1970; 0 if nobody said.
        endpoint: Where a new one is got.
        resource: What the authorization server calls the server.
        client_id: What the authorization server calls us.
        client_secret: What proves that; empty for most.
        proof: How it is sent, in the words of RFC 7591.
        scope: What the tokens are good for.

    """

    url: str
    access: str
    refresh: str = ""
    expires: float = 0.0
    endpoint: str = ""
    resource: str = ""
    client_id: str = ""
    client_secret: str = ""
    proof: str = ""
    scope: str = ""

    def __repr__(self) -> str:
        return f"Login({self.url!r})"

    def renewed(self, told: dict[str, Any], now: float) -> "Login":
        """Take what the token endpoint gave.

        Raises:
            BackendError: that is no token.

        """
        access, refresh, lasts = told.get("access_token"), told.get("refresh_token"), told.get("expires_in")
        if not is_token(access) or not isinstance(told.get("token_type"), str):
            raise BackendError("it gave no token")
        expires = now + float(lasts) if isinstance(lasts, int | float) and lasts > 0 else 0.0
        return replace(
            self, access=access, refresh=refresh if is_token(refresh) else self.refresh, expires=expires
        )


def is_token(value: Any) -> TypeGuard[str]:
    """Say whether this can be sent in a header."""
    return isinstance(value, str) and value.isascii() and value.isprintable() and 0 < len(value) <= 16384


async def load(connector: str, server: Server) -> Login | None:
    """Get the login for a server; None if there is none, or it was for another URL.

    Raises:
        BackendError: there is no keyring, or it can't be read.

    """
    text = await asyncio.to_thread(_ring("get_password"), SERVICE, connector)
    try:
        found = Login(**json.loads(text)) if text else None
    except (ValueError, TypeError):
        return None
    return found if found is not None and found.url == server.url and is_token(found.access) else None


async def save(connector: str, login: Login) -> None:
    """Put a login into the keyring; raises like `load`."""
    await asyncio.to_thread(_ring("set_password"), SERVICE, connector, json.dumps(asdict(login)))


async def forget(connector: str) -> None:
    """Take it out again, if it is there; raises like `load`."""
    if await asyncio.to_thread(_ring("get_password"), SERVICE, connector):
        await asyncio.to_thread(_ring("delete_password"), SERVICE, connector)


def _ring(verb: str) -> Any:
    """Give one of the keyring's functions, which fails in our own way."""
    try:
        import keyring  # noqa: PLC0415  # optional, and slow to import
    except ImportError:
        raise BackendError(
            "logins are kept in the system's keyring and nowhere else: pip install 'blastwall[keyring]'"
        ) from None

    def act(*words: str) -> Any:
        try:
            return getattr(keyring, verb)(*words)
        except Exception as error:  # noqa: BLE001  # whatever its backend raises
            raise BackendError(
                f"logins are kept in the system's keyring, which can't be used ({type(error).__name__}):"
                " unlock it, or install one"
            ) from None

    return act
