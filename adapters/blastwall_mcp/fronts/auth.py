"""Access tokens: read from the one header that they may come in, proved, and turned into a principal."""

import base64
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol
from urllib.parse import quote_plus, urlencode

import jwt

from blastwall.egress.credentials import Secret
from blastwall.values import Auth
from blastwall_mcp.fronts.jwks import ALGORITHMS, KeySet
from blastwall_mcp.fronts.principals import Principal
from blastwall_mcp.wire.fetch import Fetcher

LONGEST = 16 * 1024
"""Characters that a token may have."""

LEEWAY_S = 30
"""By how much the issuer's clock may be off."""

MOST_KEYS_TRIED = 8

KEPT_S = 30.0
"""How long a proved token is not proved again: how late the end of one that was revoked is noticed."""

KEPT_NO_S = 5.0
"""The same of a token that failed: short, for it may be one that is only not yet known."""

MOST_KEPT = 4096

_TYPES = ("jwt", "at+jwt", "application/at+jwt")

log = logging.getLogger(__name__)


class NotProved(Exception):
    """The token proves nothing here. The message is for the log, never for the client."""


class Prover(Protocol):
    """Says whom a token is about."""

    async def prove(self, token: str) -> Principal:
        """Check everything about a token.

        Raises:
            NotProved: it does not hold.
            BackendError: nobody can say now.

        """
        ...


class Tokens:
    """Proves tokens, and remembers for a short while what came of it."""

    def __init__(self, prover: Prover, clock: Callable[[], float] = time.time) -> None:
        """Remember nothing yet."""
        self._prover = prover
        self._clock = clock
        self._known: dict[bytes, tuple[float, Principal | NotProved]] = {}

    async def principal(self, token: str) -> Principal:
        """Say whom a token is about; raises like `Prover.prove`."""
        if not token or len(token) > LONGEST or not token.isascii() or not token.isprintable():
            raise NotProved("it is empty, too long or no plain ASCII")
        key, now = hashlib.sha256(token.encode()).digest(), self._clock()
        until, known = self._known.get(key, (0.0, NotProved()))
        if until <= now:
            known = await self._proved(token)
            self._keep(key, now, known)
        if isinstance(known, NotProved):
            raise NotProved(str(known))
        return known

    async def _proved(self, token: str) -> Principal | NotProved:
        try:
            return await self._prover.prove(token)
        except NotProved as error:
            return error

    def _keep(self, key: bytes, now: float, known: Principal | NotProved) -> None:
        until = now + KEPT_NO_S if isinstance(known, NotProved) else min(now + KEPT_S, known.expires)
        self._known.pop(key, None)
        while len(self._known) >= MOST_KEPT:
            self._known.pop(next(iter(self._known)))
        self._known[key] = (until, known)


class Jwt:
    """Tokens that carry their own proof."""

    def __init__(self, auth: Auth, keys: KeySet) -> None:
        """Trust these keys, for the algorithms that the policy names."""
        self._auth = auth
        self._keys = keys
        self._algorithms = frozenset(auth.algorithms) & ALGORITHMS

    async def prove(self, token: str) -> Principal:
        """Check signature, issuer, audience and times."""
        kid, algorithm = self._header(token)
        claims = self._claims(token, algorithm, await self._keys.candidates(kid, algorithm))
        return _principal(self._auth, claims)

    def _header(self, token: str) -> tuple[str | None, str]:
        """Read what says how to check. Where its keys are it may say as it likes: nobody looks there."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise NotProved("it is no JWT") from None
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in self._algorithms:
            raise NotProved("its algorithm is not one of the policy's")
        if "crit" in header or header.get("b64", True) is not True:
            raise NotProved("it demands an extension")
        if str(header.get("typ", "JWT")).lower() not in _TYPES:
            raise NotProved("it is not of the type of an access token")
        if kid is not None and not isinstance(kid, str):
            raise NotProved("its key id is no text")
        return kid, str(algorithm)

    def _claims(self, token: str, algorithm: str, keys: list[jwt.PyJWK]) -> Mapping[str, Any]:
        for key in keys[:MOST_KEYS_TRIED]:
            try:
                return jwt.decode(
                    token,
                    key,
                    algorithms=[algorithm],
                    audience=self._auth.audience,
                    issuer=self._auth.issuer,
                    leeway=LEEWAY_S,
                    options={"require": ["exp", "iss", "aud"]},
                )
            except jwt.InvalidSignatureError:
                continue
            except (jwt.PyJWTError, ValueError, TypeError) as error:
                raise NotProved(f"it does not hold ({type(error).__name__})") from None
        raise NotProved("none of the issuer's keys signed it")


class Introspection:
    """Tokens that only their issuer can read, asked for at its endpoint (RFC 7662)."""

    def __init__(
        self,
        auth: Auth,
        ask: Callable[[bytes, tuple[tuple[str, str], ...]], Awaitable[Any]],
        secret: Callable[[], Awaitable[Secret]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Ask nobody yet. `secret` gives `client_id:client_secret`, or a bearer token, at each question."""
        self._auth = auth
        self._ask = ask
        self._secret = secret
        self._clock = clock

    async def prove(self, token: str) -> Principal:
        """Ask, and check the answer as if the token had said it."""
        form = urlencode({"token": token, "token_type_hint": "access_token"}).encode()
        secret = await self._secret()
        claims = await self._ask(form, (("Authorization", _authorization(secret.value)),))
        if not isinstance(claims, Mapping) or claims.get("active") is not True:
            raise NotProved("it is not active")
        self._check(claims)
        return _principal(self._auth, claims)

    def _check(self, claims: Mapping[str, Any]) -> None:
        now, audience = self._clock(), claims.get("aud")
        if claims.get("iss", self._auth.issuer) != self._auth.issuer:
            raise NotProved("it has another issuer")
        if self._auth.audience not in (audience if isinstance(audience, list) else [audience]):
            raise NotProved("it is for another audience, or says of none")
        if not isinstance(claims.get("exp"), int) or claims["exp"] + LEEWAY_S <= now:
            raise NotProved("it has ended, or never would")
        if not isinstance(claims.get("nbf", 0), int) or claims.get("nbf", 0) - LEEWAY_S > now:
            raise NotProved("it is not valid yet")


def tokens(auth: Auth, secret: Callable[[], Awaitable[Secret]]) -> Tokens:
    """Build what proves the tokens of a policy; nothing is fetched before the first one."""
    fetcher = Fetcher(private=auth.private)
    if auth.jwks:
        return Tokens(Jwt(auth, KeySet(lambda: fetcher.get(auth.jwks))))
    return Tokens(
        Introspection(auth, lambda form, headers: fetcher.post(auth.introspection, form, headers), secret)
    )


def _authorization(secret: str) -> str:
    client, colon, password = secret.partition(":")
    if not colon:
        return f"Bearer {secret}"
    pair = f"{quote_plus(client)}:{quote_plus(password)}"  # RFC 6749, section 2.3.1
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _principal(auth: Auth, claims: Mapping[str, Any]) -> Principal:
    subject, client = (claims.get(name) or "" for name in ("sub", "client_id"))
    client = client or claims.get("azp") or ""
    if not isinstance(subject, str) or not isinstance(client, str) or not (subject or client):
        raise NotProved("it is about nobody")
    return Principal(auth.issuer, subject, client, _scopes(claims), float(claims["exp"]))


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """Read the scopes: one text in OAuth's own words, a list with some issuers."""
    told = claims.get("scope", claims.get("scp", ""))
    words = told.split() if isinstance(told, str) else told
    if not isinstance(words, list):
        raise NotProved("its scopes can't be read")
    return frozenset(word for word in words if isinstance(word, str))


# --- What a client is told ----------------------------------------------------------------------------


def metadata_path(audience: str) -> tuple[str, str]:
    """Give the URL of this resource's metadata (RFC 9728), and its path."""
    scheme, _, rest = audience.partition("://")
    host, slash, path = rest.partition("/")
    where = f"/.well-known/oauth-protected-resource{slash + path if path else ''}"
    return f"{scheme}://{host}{where}", where


def metadata(auth: Auth) -> dict[str, Any]:
    """Say which authorization server gives tokens for here, and for what."""
    return {
        "resource": auth.audience,
        "authorization_servers": [auth.issuer],
        "scopes_supported": sorted({*auth.required, *auth.scopes}),
        "bearer_methods_supported": ["header"],
        "resource_name": "blastwall",
    }


def challenge(auth: Auth, *, error: str = "", description: str = "", scope: str = "") -> str:
    """Give a WWW-Authenticate header."""
    parts = {
        "error": error,
        "error_description": description,
        "scope": scope,
        "resource_metadata": metadata_path(auth.audience)[0],
    }
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parts.items() if value)
