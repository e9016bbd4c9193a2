"""Real values don't come back, however a stream is cut and they are spelled; placeholders go only where they may."""

import base64
import hashlib
import html
import json
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.egress.sites import HELD, PLACEHOLDER, SECRET

from blastwall.egress.placeholders import Held, misplaced, replaced
from blastwall.egress.scrub import Scrubber, scrubbed

SPELLINGS = [
    lambda s: s,
    lambda s: urllib.parse.quote(s, safe=""),
    lambda s: urllib.parse.quote_plus(s).lower() if s.islower() else urllib.parse.quote_plus(s),
    lambda s: "".join(f"%{ord(c):02X}" for c in s),
    lambda s: json.dumps(s)[1:-1],
    lambda s: json.dumps(s)[1:-1].replace("/", "\\/"),
    lambda s: "".join(f"\\u{ord(c):04X}" for c in s),
    lambda s: html.escape(s),
    lambda s: "".join(f"&#{ord(c)};" for c in s),
    lambda s: "".join(f"&#x{ord(c):04x};" for c in s),
    lambda s: s.encode().hex(),
    lambda s: s.encode().hex().upper(),
    *(lambda s, n=n: base64.b64encode(b"x" * n + s.encode()).decode() for n in range(3)),
    *(lambda s, n=n: base64.urlsafe_b64encode(b"x" * n + s.encode() + b"yy").decode() for n in range(3)),
]
TOKEN = b".".join(hashlib.sha512(bytes([n])).hexdigest().encode() for n in range(32))
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40)


@given(
    SECRETS,
    st.sampled_from(SPELLINGS),
    st.binary(max_size=30),
    st.binary(max_size=30),
    st.lists(st.integers(0, 400), max_size=5),
)
def test_no_cut_and_no_spelling_lets_a_value_through(secret, spell, before, after, cuts):
    held = Held("k", b"PLACEHOLDER", secret.encode(), ("api.test",))
    spelled = spell(secret).encode()
    data = before + b"|" + spelled + b"|" + after
    whole = scrubbed([held], data)
    scrubber, at, got = Scrubber([held]), 0, b""
    for cut in sorted(cuts):
        got += scrubber.feed(data[at:cut])
        at = max(at, cut)
    got += scrubber.feed(data[at:]) + scrubber.end()
    assert got == whole
    assert spelled not in got or spelled in before + after
    assert b"PLACEHOLDER" in got


@given(st.binary(max_size=400), st.integers(1, 50))
def test_what_holds_no_value_passes_unchanged(data, size):
    scrubber = Scrubber([HELD])
    got = b"".join(scrubber.feed(data[at : at + size]) for at in range(0, len(data), size)) + scrubber.end()
    assert got == data


def test_mixed_spellings():
    mixed = SECRET.replace("/", "%2F").replace("+", "\\u002b").replace("=", "&#61;")
    assert scrubbed([HELD], mixed.encode()) == PLACEHOLDER.encode()


def test_one_value_that_begins_another():
    short, long = Held("s", b"<S>", b"abcdefgh", ("a.test",)), Held("l", b"<L>", b"abcdefghijkl", ("a.test",))
    for held in ([short, long], [long, short]):
        assert scrubbed(held, b".abcdefghijkl.abcdefgh.abcdefghij") == b".<L>.<S>.<S>ij"
        scrubber = Scrubber(held)
        pieces = [scrubber.feed(bytes([code])) for code in b".abcdefghijkl.abcdefghx"]
        assert b"".join(pieces) + scrubber.end() == b".<L>.<S>x"


def test_only_what_may_become_a_value_is_held_back():
    scrubber = Scrubber([HELD])
    assert scrubber.feed(b"data: 1\n\n") == b"data: 1\n\n"
    assert scrubber.feed(b"data: " + SECRET[:5].encode()) == b"data: "
    assert scrubber.feed(b"no") == SECRET[:5].encode() + b"no"


def test_a_value_as_long_as_a_token_gets():
    held = Held("k", b"<>", TOKEN, ("a.test",))
    scrubber = Scrubber([held])
    got = b"".join(scrubber.feed(piece) for piece in (b"x" * 100, held.value[:2500], held.value[2500:], b"y"))
    assert got + scrubber.end() == b"x" * 100 + b"<>y"


def test_what_is_found_in_a_stream_that_cannot_change():
    scrubber = Scrubber([HELD])
    assert not scrubber.finds(b"nothing")
    assert not scrubber.finds(b"x" + SECRET[:10].encode())
    assert scrubber.finds(SECRET[10:].encode())


def test_without_values_nothing_happens():
    assert scrubbed([], b"anything") == b"anything"


# --- Out ---


@pytest.mark.parametrize("host", ["api.test", "a.bound.test"])
def test_where_a_placeholder_is_replaced(host):
    headers, changed = replaced([HELD], host, [(b"a", b"x " + HELD.placeholder), (b"b", b"y")])
    assert changed
    assert headers == [(b"a", b"x " + HELD.value), (b"b", b"y")]


@pytest.mark.parametrize(
    "host", ["evil.test", "bound.test", "api.test.evil.test", "evilapi.test", "127.0.0.1"]
)
def test_where_it_is_not(host):
    headers = [
        (b"a", HELD.placeholder),
        (b"authorization", b"Basic " + base64.b64encode(b"u:" + HELD.placeholder)),
    ]
    assert replaced([HELD], host, headers) == (headers, False)
    assert misplaced([HELD], host, b"/", headers) == f"the credential api is not for {host}"
    assert misplaced([HELD], host, b"/", headers[1:]) == f"the credential api is not for {host}"
    assert misplaced([HELD], host, b"/", [(HELD.placeholder, b"")])


@pytest.mark.parametrize("value", [b"Basic !!", b"Basic", b"Basic QQ", b"Bearer QUJD", b"Basic \xff"])
def test_headers_that_hold_no_placeholder_are_untouched(value):
    assert replaced([HELD], "api.test", [(b"authorization", value)]) == ([(b"authorization", value)], False)
    assert misplaced([HELD], "api.test", b"/", [(b"authorization", value)]) == ""


def test_a_value_shows_itself_to_nobody():
    assert SECRET not in repr(HELD)
