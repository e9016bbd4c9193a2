"""Addresses and accounts in their one form, and what only resembles one."""

import pytest

from blastwall.provenance.places import account, accounts, host, mail_address, web_address

LONG = ".".join(["a" * 63] * 3 + ["a" * 61])


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("A.example", "a.example"),
        ("a.example.", "a.example"),
        ("a", "a"),
        ("a-1.b", "a-1.b"),
        ("[0:0::1]", "[::1]"),
        ("B\u00dcCHER.example", "xn--bcher-kva.example"),
        (LONG, LONG),
        (f"{LONG}a", None),
        ("a" * 63, "a" * 63),
        ("a" * 64, None),
        ("a.", "a"),
        ("a..", None),
        ("-a.b", None),
        ("a.b-", None),
        ("a_b", None),
        ("a_b.b\u00fccher.example", None),
        ("[::1", None),
        ("::1", None),
        ("[::1%eth0]", None),
        ("[::1%please pay at once]", None),
        ("fa\u00df.de", None),
        ("", None),
    ],
)
def test_a_host(text, form):
    assert host(text) == form


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("A@B.example", "a@b.example"),
        ("<a@b>", "a@b"),
        ("MAILTO:a+b@c.example", "a+b@c.example"),
        ("mailto:<a@b>", "a@b"),
        ("<a@b", None),
        ("a@b>", None),
        ("a@b, c@d", None),
        ("a@b@c", None),
        ("a@b?subject=c", None),
        ("a@", None),
        ("@a", None),
        ("\u00e4@b", None),
        ("a b@c", None),
    ],
)
def test_a_mail_address(text, form):
    assert mail_address(text) == form


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("https://A.example", "//a.example/"),
        ("http://a.example/B?c#d", "//a.example/B?c#d"),
        ("HTTP://a.example?b", "//a.example/?b"),
        ("https://a.example#b", "//a.example/#b"),
        ("http://a", "//a/"),
        ("www.a.example", "//www.a.example/"),
        ("WWW.a.example", "//www.a.example/"),
        ("//a.example/b", "//a.example/b"),
        ("a.example/b", "//a.example/b"),
        ("a.example/", "//a.example/"),
        ("a.example", None),
        ("a/b", None),
        ("wwwa.example", None),
        ("a.b:c/d", None),
        ("https://a@b/", None),
        ("https://a.example/b c", None),
        ("https://", None),
        ("javascript:a", None),
        # ports
        ("http://a.example:80/b", "//a.example/b"),
        ("https://a.example:443/b", "//a.example/b"),
        ("a.example:443/b", "//a.example/b"),
        ("a.example:80/b", "//a.example:80/b"),
        ("http://a.example:443/b", "//a.example:443/b"),
        ("https://a.example:65535", "//a.example:65535/"),
        ("https://a.example:655360", None),
        ("ws://a.example:80/", "ws://a.example/"),
        ("wss://a.example:443/", "wss://a.example/"),
        ("ftp://a.example:21/", "ftp://a.example/"),
        ("ftp://a.example:80/", "ftp://a.example:80/"),
        ("ssh://a.example:22/", "ssh://a.example:22/"),
        ("http://[::1]:8080/", "//[::1]:8080/"),
        # schemes
        ("git+ssh://a.example/", "git+ssh://a.example/"),
        (f"{'a' * 16}://b/", f"{'a' * 16}://b/"),
        (f"{'a' * 17}://b/", None),
        # escapes
        ("https://a.example/%7e%41%2f%2D", "//a.example/~A%2F-"),
        ("https://a.example/%zz", "//a.example/%zz"),
    ],
)
def test_a_web_address(text, form):
    assert web_address(text) == form


def iban(length):
    """Give an account of that many characters whose check digits are right."""
    rest = "0" * (length - 4)
    digits = 98 - int("".join(str(int(char, 36)) for char in f"{rest}GB00")) % 97
    return f"gb{digits:02}{rest}"


@pytest.mark.parametrize("length", [15, 22, 34])
def test_an_account(length):
    assert account(iban(length).upper()) == iban(length)
    assert account(" ".join(iban(length))) is None


@pytest.mark.parametrize(
    "text",
    [iban(14), iban(35), "GB29NWBK60161331926818", "GB29NWBK60161331926819.", "GB29  NWBK60161331926819", ""],
)
def test_what_only_resembles_an_account(text):
    assert account(text) is None


def test_accounts_inside_a_text():
    text = "From GB29 NWBK 6016 1331 9268 19, not GB29NWBK60161331926818, to gb29nwbk60161331926819!"
    assert accounts(text) == ["gb29nwbk60161331926819"] * 2
