"""Which tokens prove something here, and which only look like it."""

import time

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.adapters.mcp.http_rig import (
    AUDIENCE,
    EC_KEY,
    ED_KEY,
    ISSUER,
    OTHER_RSA_KEY,
    RSA_KEY,
    SHORT_RSA_KEY,
    auth,
    claims,
    forged,
    keys,
    token,
    with_hmac,
)

from blastwall.egress.credentials import Secret
from blastwall.errors import BackendError
from blastwall_mcp.fronts.auth import (
    Introspection,
    Jwt,
    NotProved,
    Tokens,
    challenge,
    metadata,
    metadata_path,
)
from blastwall_mcp.fronts.jwks import KeySet

PUBLIC_PEM = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class Issuer:
    """Counts how often its keys are asked for."""

    def __init__(self):
        self.asked = 0
        self.keys = keys()
        self.broken = False

    async def fetch(self):
        self.asked += 1
        if self.broken:
            raise BackendError("the issuer is down")
        return self.keys


def prover(issuer=None, clock=time.monotonic, **other):
    return Jwt(auth(**other), KeySet((issuer or Issuer()).fetch, clock))


@pytest.mark.parametrize(
    "good",
    [
        {},
        {"key": EC_KEY, "kid": "ec", "algorithm": "ES256"},
        {"key": ED_KEY, "kid": "ed", "algorithm": "EdDSA"},
        {"kid": None},
        {"aud": ["https://else.example", AUDIENCE]},
        {"head": {"typ": "at+jwt"}},
        {"sub": None},
        {"client_id": None},
    ],
    ids=str,
)
async def test_a_good_token_names_its_principal(good):
    principal = await prover().prove(token(**good))
    assert principal.issuer == ISSUER
    assert (principal.subject, principal.client) in {("ann", "editor"), ("", "editor"), ("ann", "")}
    assert principal.scopes == {"mcp"}


def with_short_key(unsigned):
    return SHORT_RSA_KEY.sign(unsigned, PKCS1v15(), SHA256())


async def test_the_issuer_s_clock_may_be_a_little_off():
    now = int(time.time())
    for good in ({"exp": now - 15}, {"nbf": now + 15}):
        assert (await prover().prove(token(**good))).subject == "ann"
    for bad in ({"exp": now - 31}, {"nbf": now + 45}):
        with pytest.raises(NotProved):
            await prover().prove(token(**bad))


BAD = {
    "another issuer": token(iss="https://evil.example"),
    "no issuer": token(iss=None),
    "another audience": token(aud="https://other.example/mcp"),
    "an audience that begins like ours": token(aud=AUDIENCE + "/more"),
    "no audience": token(aud=None),
    "expired": token(exp=int(time.time()) - 3600),
    "no end": token(exp=None),
    "not valid yet": token(nbf=int(time.time()) + 36_000),
    "issued in the future": token(iat=int(time.time()) + 36_000),
    "signed by somebody else": token(key=OTHER_RSA_KEY),
    "a key nobody has": token(kid="nobody"),
    "a short key": forged({"alg": "RS256", "kid": "short"}, with_short_key),
    "another's key id": token(key=EC_KEY, kid="rsa", algorithm="ES256"),
    "an algorithm that is not the policy's": token(algorithm="PS256"),
    "none": forged({"alg": "none", "kid": "rsa"}),
    "None in capitals": forged({"alg": "NONE", "kid": "rsa"}),
    "the public key as a secret": forged({"alg": "HS256", "kid": "rsa"}, with_hmac(PUBLIC_PEM)),
    "the public key as a secret, and called RSA": forged(
        {"alg": "RS256", "kid": "rsa"}, with_hmac(PUBLIC_PEM)
    ),
    "a shared key of the issuer": token(key=b"secret" * 6, kid="oct", algorithm="HS256"),
    "a critical extension": token(head={"crit": ["b64"], "b64": True}),
    "an ID token": token(head={"typ": "id+jwt"}),
    "a proof of possession": token(head={"typ": "dpop+jwt"}),
    "about nobody": token(sub=None, client_id=None),
    "a subject that is no text": token(client_id=7, sub=None),
    "scopes that are no text": token(scope=7),
    "no JWT": "abc",
    "nothing": "",
    "too long": "a" * 20_000,
    "control characters": "a\nb",
    "letters": "é",
}


@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_token_proves_nothing(bad):
    with pytest.raises(NotProved):
        await Tokens(prover()).principal(BAD[bad])


async def test_a_token_never_says_where_its_key_is():
    issuer = Issuer()
    evil = {"jku": "https://evil.example/keys", "x5u": "https://evil.example/x", "jwk": keys()["keys"][0]}
    with pytest.raises(NotProved):
        await prover(issuer).prove(token(key=OTHER_RSA_KEY, kid="evil", head=evil))
    assert issuer.asked == 1
    assert (await prover(issuer).prove(token(head=evil))).subject == "ann"  # ours, whatever it says besides


async def test_unknown_key_ids_do_not_ask_the_issuer_each_time():
    now = [1000.0]
    issuer = Issuer()
    proving = prover(issuer, lambda: now[0])
    for kid in range(50):
        with pytest.raises(NotProved):
            await proving.prove(token(kid=f"unknown-{kid}"))
    assert issuer.asked == 1
    now[0] += 31
    issuer.keys["keys"].append({**issuer.keys["keys"][0], "kid": "new"})
    assert (await proving.prove(token(kid="new"))).subject == "ann"
    assert issuer.asked == 2


async def test_keys_outlive_a_short_failure_of_their_issuer_and_no_long_one():
    now = [1000.0]
    issuer = Issuer()
    proving = prover(issuer, lambda: now[0])
    await proving.prove(token())
    issuer.broken = True
    now[0] += 1000
    assert (await proving.prove(token())).subject == "ann"
    now[0] += 3000
    with pytest.raises(BackendError, match="the issuer is down"):
        await proving.prove(token())
    asked = issuer.asked
    with pytest.raises(BackendError):
        await proving.prove(token())
    assert issuer.asked == asked


@pytest.mark.parametrize("answer", [[], {}, {"keys": "x"}, {"keys": [7, {"kty": "RSA"}, {}]}], ids=str)
async def test_what_is_no_set_of_keys_proves_nothing(answer):
    issuer = Issuer()
    issuer.keys = answer
    with pytest.raises((BackendError, NotProved)):
        await prover(issuer).prove(token())


# --- Introspection ------------------------------------------------------------------------------------


def introspection(answer, asked=None):
    async def ask(form, headers):
        if asked is not None:
            asked.append((form, headers))
        return answer

    async def secret():
        return Secret("proxy:s3cret:x")

    return Introspection(auth(jwks="", introspection="https://issuer.example/ask"), ask, secret)


async def test_an_active_token_names_its_principal():
    asked = []
    principal = await introspection({"active": True, **claims()}, asked).prove("opaque&=")
    assert (principal.subject, principal.scopes) == ("ann", {"mcp"})
    ((form, headers),) = asked
    assert form == b"token=opaque%26%3D&token_type_hint=access_token"
    assert headers == (("Authorization", "Basic cHJveHk6czNjcmV0JTNBeA=="),)


@pytest.mark.parametrize(
    "answer",
    [
        {"active": False},
        {"active": "true", **claims()},
        {},
        [],
        None,
        {"active": True, **claims(iss="https://evil.example")},
        {"active": True, **claims(aud="https://other.example")},
        {"active": True, **claims(aud=None)},
        {"active": True, **claims(exp=int(time.time()) - 60)},
        {"active": True, **claims(exp=None)},
        {"active": True, **claims(nbf=int(time.time()) + 36_000)},
        {"active": True, **claims(sub=None, client_id=None)},
    ],
    ids=str,
)
async def test_anything_else_proves_nothing(answer):
    with pytest.raises(NotProved):
        await introspection(answer).prove("opaque")


async def test_what_came_of_a_token_is_remembered_for_a_short_while_only():
    now = [time.time()]
    asked = []
    remembering = Tokens(introspection({"active": True, **claims()}, asked), lambda: now[0])
    for _ in range(5):
        await remembering.principal("opaque")
    assert len(asked) == 1
    now[0] += 31
    await remembering.principal("opaque")
    assert len(asked) == 2
    refusing = Tokens(introspection({"active": False}, asked), lambda: now[0])
    for _ in range(5):
        with pytest.raises(NotProved):
            await refusing.principal("opaque")
    assert len(asked) == 3
    now[0] += 6
    with pytest.raises(NotProved):
        await refusing.principal("opaque")
    assert len(asked) == 4


async def test_only_so_many_tokens_are_remembered(monkeypatch):
    monkeypatch.setattr("blastwall_mcp.fronts.auth.MOST_KEPT", 3)
    remembering = Tokens(introspection({"active": True, **claims()}))
    for number in range(10):
        await remembering.principal(f"opaque{number}")
    assert len(remembering._known) == 3


# --- What clients are told ----------------------------------------------------------------------------


def test_the_metadata_is_where_rfc_9728_puts_it():
    assert metadata_path("https://mcp.example/mcp") == (
        "https://mcp.example/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-protected-resource/mcp",
    )
    assert metadata_path("https://mcp.example")[1] == "/.well-known/oauth-protected-resource"
    told = metadata(auth(required=("mcp",), scopes={"mail": {"mail": ("*",)}}))
    assert told["resource"] == AUDIENCE
    assert told["authorization_servers"] == [ISSUER]
    assert told["scopes_supported"] == ["mail", "mcp"]


def test_a_challenge_says_where_to_get_a_token():
    assert challenge(auth()) == (
        'Bearer resource_metadata="https://mcp.example/.well-known/oauth-protected-resource/mcp"'
    )
    assert challenge(auth(), error="insufficient_scope", scope="a b").startswith(
        'Bearer error="insufficient_scope", scope="a b", '
    )
