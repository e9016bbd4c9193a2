"""The keys of an authorization server: fetched when needed, kept, and never from where a token says."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import jwt

from blastwall.errors import BackendError

KEPT_S = 600.0
"""How long keys are used before they are looked at again."""

STALE_S = 3600.0
"""How long they are used when they can't be looked at again."""

REFETCH_S = 30.0
"""How long nobody is asked again: a token can name a key that does not exist as often as it likes."""

MOST_KEYS = 64
SHORTEST_RSA = 2048

_KEYS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", "")),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", ""),
}
"""The kind of key that an algorithm takes. What is not here is never accepted: none, and all of HMAC."""

ALGORITHMS = frozenset(_KEYS)

log = logging.getLogger(__name__)


class KeySet:
    """The public keys at one address."""

    def __init__(
        self, fetch: Callable[[], Awaitable[Any]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Fetch nothing yet."""
        self._fetch = fetch
        self._clock = clock
        self._keys: list[Mapping[str, Any]] = []
        self._since = self._tried = float("-inf")
        self._failure: BackendError | None = None
        self._lock = asyncio.Lock()

    async def candidates(self, kid: str | None, algorithm: str) -> list[jwt.PyJWK]:
        """Give the keys that may have signed a token with this header; there may be none.

        Raises:
            BackendError: the keys can't be had.

        """
        await self._refresh(KEPT_S)
        found = self._fitting(kid, algorithm)
        if not found:
            await self._refresh(REFETCH_S)  # a new key, or one that was never there
            found = self._fitting(kid, algorithm)
        return found

    def _fitting(self, kid: str | None, algorithm: str) -> list[jwt.PyJWK]:
        named = [key for key in self._keys if kid is None or key.get("kid") == kid]
        return [made for key in named if (made := _made(key, algorithm))]

    async def _refresh(self, kept_s: float) -> None:
        async with self._lock:
            now = self._clock()
            if now - self._since >= kept_s and now - self._tried >= REFETCH_S:
                self._tried = now
                await self._renew(now)
            if now - self._since >= STALE_S:
                raise self._failure or BackendError("the keys of the issuer can't be had")

    async def _renew(self, now: float) -> None:
        try:
            self._keys = _read(await self._fetch())
        except BackendError as error:
            log.warning("the keys of the issuer can't be had: %s", error)
            self._failure = error
        else:
            self._since = now


def _read(document: Any) -> list[Mapping[str, Any]]:
    keys = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(keys, list):
        raise BackendError("the issuer's answer is no set of keys")
    return [key for key in keys[:MOST_KEYS] if isinstance(key, Mapping)]


def _made(key: Mapping[str, Any], algorithm: str) -> jwt.PyJWK | None:
    """Make a key usable for one algorithm, or for nothing."""
    kind, curve = _KEYS[algorithm]
    if key.get("kty") != kind or (curve and key.get("crv") != curve):
        return None
    if key.get("use", "sig") != "sig" or key.get("alg", algorithm) != algorithm:
        return None
    try:
        made = jwt.PyJWK(dict(key), algorithm=algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    return made if kind != "RSA" or made.key.key_size >= SHORTEST_RSA else None
