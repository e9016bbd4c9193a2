"""Forms of values: equal under the strict one is the same to everybody; the loose ones only make wary."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall.provenance import normalised
from blastwall.provenance.normal import (
    address,
    folded,
    inside_word,
    keys,
    looked_up,
    plain,
    squeezed,
    text_of,
    tokens,
)
from blastwall.provenance.places import host, mail_address, web_address


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Dora  Heinz", "dora heinz"),
        (" a\tb\r\n", "A B"),
        ("e\u0301", "\u00e9"),
        ("<A@B.example>", "a@b.example"),
        ("mailto:a@b.example", "A@b.EXAMPLE."),
        ("a@b\u00fccher.example", "a@xn--bcher-kva.example"),
        ("https://A.example", "a.example/"),
        ("http://a.example:80/x", "https://a.example:443/x"),
        ("HTTPS://A.EXAMPLE./%7Euser/%2f", "https://a.example/~user/%2F"),
        ("www.a.example?q", "https://www.a.example/?q"),
        ("http://[::1]/", "http://[0:0::1]/"),
        ("ftp://a.example:21/x", "FTP://a.example/x"),
        ("https://b\u00fccher.example/", "https://xn--bcher-kva.example/"),
        ("GB29 NWBK 6016 1331 9268 19", "gb29nwbk60161331926819"),
    ],
)
def test_these_are_the_same(one, other):
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a", "\u0430"),
        ("pay", "\uff50ay"),
        ("pay", "p\u200bay"),
        ("strasse", "stra\u00dfe"),
        ("s", "\u017f"),
        ("a b", "a\u00a0b"),
        ("ab", "a b"),
        ("https://a.example/x", "https://a.example/X"),
        ("https://a.example/x", "https://a.example/x/"),
        ("https://a.example/%2e", "https://a.example/%2f"),
        ("https://a.example:8443/", "https://a.example/"),
        ("ftp://a.example/", "https://a.example/"),
        ("https://x@a.example/", "https://a.example/"),
        ("a@b.example", "a@b.example@c.example"),
        ("a@b.example", "ab@example"),
        ("\ufb01le", "file"),
        ("GB29NWBK60161331926818", "GB29 NWBK 6016 1331 9268 18"),
    ],
)
def test_these_are_not(one, other):
    assert normalised(one) != normalised(other)


@given(st.text())
def test_forms_are_their_own_forms(text):
    assert plain(plain(text)) == plain(text)
    assert normalised(normalised(text)) == normalised(text)
    assert squeezed(folded(folded(text))) == squeezed(folded(text))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        (3, "3"),
        (3.0, "3"),
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
        (-0.5, "-0.5"),
        (2.0**53 - 1, "9007199254740991"),
        (2.0**53, "9007199254740992.0"),
        (-(2.0**53), "-9007199254740992.0"),
        (1e300, f"{10**300:d}".replace(str(10**300), "1" + "0" * 300)),
    ],
)
def test_scalars_as_text(value, text):
    assert text_of(value) == text


def test_forms_of_numbers():
    assert keys(1.5) == ["1.5", "\0#1.5"]
    assert looked_up("1.50") == ["1.50", "\0#1.5"]
    assert keys("1.50") == ["1.50", "\0=1.5"]
    assert looked_up("007.5") == ["007.5"]
    assert keys("1234567890123.50") == ["1234567890123.50", "\0=1234567890123.5"]
    assert keys("12345678901234.50") == ["12345678901234.50"]
    assert keys("1.5 kg") == ["1.5 kg"]
    assert keys(True) == ["true", "\0#true"]
    assert looked_up(1.5) == ["1.5", "\0=1.5"]


def test_a_long_form_is_kept_by_its_digest():
    assert keys("X" * 128) == looked_up("X" * 128) == ["x" * 128]
    [long] = keys("X" * 129)
    assert (long[:2], len(long)) == ("\0:", 66)
    assert keys("x" * 129) == [long] == looked_up("x" * 129)


@pytest.mark.parametrize("mark", ["\0#1.5", "\0=1.5", "\0@//a.example/", "\0:"])
def test_no_text_takes_the_form_of_another_kind(mark):
    """What stands for numbers, links and digests begins with a NUL, and so may somebody's text."""
    assert keys(mark)[0] == looked_up(mark)[0] != mark
    assert keys(mark)[0].startswith("\0:")


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (" a@b.example\n", "a@b.example"),
        ("http://localhost/x", "//localhost/x"),
        ("\thttps://a.example/x \n", "//a.example/x"),
        ("a.example", None),
        (" GB29NWBK60161331926819 ", "gb29nwbk60161331926819"),
        ("GBxxNWBK60161331926819", None),
        ("a@", None),
        ("https://a.example/" + "x" * 2030, "//a.example/" + "x" * 2030),
        ("https://a.example/" + "x" * 2031, None),
    ],
)
def test_what_is_an_address_has_the_form_of_one(text, form):
    assert address(text) == form


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("PAY", "pay"),
        ("\uff30ay", "pay"),
        ("\u210cei", "hei"),
        ("\u0421\u0430fe", "cafe"),
        ("caf\u00e9", "cafe"),
        ("\ufb01le", "file"),
        ("a\u20dd\u00ad\u200bb", "ab"),
        ("\u4e2d", "\u4e2d"),
    ],
)
def test_a_text_as_it_reads(text, read):
    assert folded(text) == read


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Delete 11, at 11:00 (or 11.50)!", ["delete", "11", "at", "11:00", "or", "11.50"]),
        ("id:11 id=12 #13 '14'", ["id", "11", "id", "12", "13", "14"]),
        ("a@b.example 2024-05-11 x_y c:\\d", ["a@b.example", "2024-05-11", "x_y", "c", "d"]),
        ("it's 1,000 5'11", ["it", "s", "1,000", "5'11"]),
        ("... - _", ["_"]),
    ],
)
def test_words(text, words):
    assert tokens(folded(text)) == words


@given(st.text("ab1_-.:, '@/", max_size=12))
def test_positions_inside_words_are_those_that_the_words_say(text):
    from tests.core.provenance.reference import TOKEN

    inside = {i for word in TOKEN.finditer(text) for i in range(word.start() + 1, word.end())}
    assert {i for i in range(len(text) + 1) if inside_word(text, i)} == inside


def test_squeezed_text():
    assert squeezed(folded("A-b \u0421\u00e9 3")) == b"abce3"
    assert squeezed("\u4e2d a") == "\u4e2da".encode()
    assert squeezed("\u4e2d\u00e9") == "\u4e2d".encode() + b"\xe9"
    assert squeezed("\u0436\u0438") == b"\x36\x38"


@pytest.mark.parametrize("text", ["", "a" * 254, "[::x]", "a..b", "\u2024", "fa\u00df.de", "a b"])
def test_these_are_no_hosts(text):
    assert host(text) is None


def test_what_only_resembles_an_address_is_none():
    assert mail_address("a@b_c") is None
    assert web_address("https://a_b.example/") is None
    assert web_address("a.example") is None
    assert web_address("a b") is None
    assert normalised("x" * 3000 + "@b.example").startswith("xxx")
