"""An authorization server of our own, tokens of every kind, and a real HTTP server in the test's own loop."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.utils import base64url_encode

from blastwall.values import Auth
from blastwall_mcp.fronts.http_server import listen, server

ISSUER = "https://issuer.example"
AUDIENCE = "https://mcp.example/mcp"

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SHORT_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=1024)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def public(key: Any, kid: str, algorithm: str, **more: Any) -> dict[str, Any]:
    """Give the public half as a JWK."""
    jwk = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**jwk, "kid": kid, "use": "sig", **more}


def keys() -> dict[str, Any]:
    """Give what the issuer publishes."""
    return {
        "keys": [
            public(RSA_KEY, "rsa", "RS256"),
            public(EC_KEY, "ec", "ES256"),
            public(ED_KEY, "ed", "EdDSA"),
            public(SHORT_RSA_KEY, "short", "RS256"),
            {"kty": "oct", "kid": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2Vj"},
        ]
    }


def claims(**other: Any) -> dict[str, Any]:
    """Give the claims of a good token, with others instead; None takes one away."""
    now = int(time.time())
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "ann",
        "client_id": "editor",
        "exp": now + 36_000,  # tests may run long after they were collected
        "iat": now,
        "scope": "mcp",
    }
    return {name: value for name, value in (good | other).items() if value is not None}


def token(
    key: Any = RSA_KEY,
    kid: str | None = "rsa",
    algorithm: str = "RS256",
    head: dict[str, Any] | None = None,
    **other: Any,
) -> str:
    """Sign a token."""
    header = ({"kid": kid} if kid else {}) | (head or {})
    return jwt.encode(claims(**other), key, algorithm=algorithm, headers=header)


def forged(header: dict[str, Any], sign: Callable[[bytes], bytes] = lambda _: b"", **other: Any) -> str:
    """Put a token together by hand, where a library would not do it."""
    parts = [base64url_encode(json.dumps(part).encode()) for part in (header, claims(**other))]
    unsigned = b".".join(parts)
    return b".".join([unsigned, base64url_encode(sign(unsigned))]).decode()


def with_hmac(secret: bytes) -> Callable[[bytes], bytes]:
    """Sign with what everybody knows: what a naive server takes for its issuer's own signature."""
    return lambda unsigned: hmac.digest(secret, unsigned, hashlib.sha256)


def auth(**other: Any) -> Auth:
    """Give what a policy says of tokens."""
    given: dict[str, Any] = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "jwks": "https://issuer.example/keys",
        "algorithms": ("RS256", "ES256", "EdDSA"),
        **other,
    }
    return Auth(**given)


@asynccontextmanager
async def serving(build: Callable[[int], Any]) -> AsyncGenerator[tuple[str, Any]]:
    """Serve an ASGI application, built for the port that it gets on this machine."""
    listening = listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    running = server(build(port))
    task = asyncio.create_task(running.serve(sockets=[listening]))
    while not running.started and not task.done():  # noqa: ASYNC110  # uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}", running
    finally:
        running.should_exit = True
        await task


async def raw(url: str, data: bytes, wait_s: float = 5.0) -> bytes:
    """Send bytes as they are, and give all that comes back until the other side closes or says no more."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    await writer.drain()
    got = bytearray()
    try:
        async with asyncio.timeout(wait_s):
            while part := await reader.read(65536):
                got += part
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.close()
    return bytes(got)
