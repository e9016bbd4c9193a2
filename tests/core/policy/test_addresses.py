"""Hosts and mail addresses: what is accepted means the same to every reader, the rest is refused."""

from email.utils import getaddresses
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall.policy.addresses import HostPattern, Place, mail_addresses, place, recipient
from blastwall.policy.truth import Truth

LONGEST = ".".join(["a" * 61, *["a" * 63] * 3])
"""As many characters as the name of a host may have."""


@pytest.mark.parametrize(
    ("text", "host", "port", "standard"),
    [
        ("https://api.example.com", "api.example.com", 443, True),
        ("https://api.example.com/", "api.example.com", 443, True),
        ("http://api.example.com/a?b=c#d", "api.example.com", 80, True),
        ("HTTPS://API.Example.COM/Path", "api.example.com", 443, True),
        ("https://api.example.com:443/", "api.example.com", 443, True),
        ("https://api.example.com:0443/", "api.example.com", 443, True),
        ("https://api.example.com:80/", "api.example.com", 80, False),
        ("http://api.example.com:8080", "api.example.com", 8080, False),
        ("ws://a.b", "a.b", 80, True),
        ("wss://a.b", "a.b", 443, True),
        ("ftp://a.b/x", "a.b", 21, True),
        ("api.example.com", "api.example.com", None, True),
        ("api.example.com/v1", "api.example.com", None, True),
        ("api.example.com:443", "api.example.com", 443, False),
        ("localhost:8080", "localhost", 8080, False),
        ("api.example.com.", "api.example.com", None, True),
        ("https://api.example.com./x", "api.example.com", 443, True),
        ("https://127.0.0.1/", "127.0.0.1", 443, True),
        ("https://[::1]/", "::1", 443, True),
        ("https://[0:0:0:0:0:0:0:1]:8443/", "::1", 8443, False),
        ("http://[::ffff:169.254.169.254]/", "169.254.169.254", 80, True),
        ("http://[::ffff:a9fe:a9fe]/", "169.254.169.254", 80, True),
        ("https://xn--strae-oqa.de/", "xn--strae-oqa.de", 443, True),
        ("https://bücher.example/", "xn--bcher-kva.example", 443, True),
        ("https://BÜCHER.example/", "xn--bcher-kva.example", 443, True),
        ("https://日本。example/", "xn--wgv71a.example", 443, True),
        ("https://ｅxample.com/", "example.com", 443, True),
        ("https://example\u3002com\u3002/", "example.com", 443, True),
        ("https://r3---sn-x.example.com/", "r3---sn-x.example.com", 443, True),
        ("https://api.example.com/@user", "api.example.com", 443, True),
        ("https://api.example.com/x?mail=a%40b.c&u=https%3A%2F%2Fx", "api.example.com", 443, True),
        ("https://api.example.com/a|b^c{d}", "api.example.com", 443, True),
        ("https://api.example.com?q=1", "api.example.com", 443, True),
        ("https://X.EXAMPLE/X?X#X", "x.example", 443, True),
        ("https://x.example?X", "x.example", 443, True),
        ("https://api.example.com:65535/", "api.example.com", 65535, False),
        ("https://example.1b/", "example.1b", 443, True),
        (f"https://{LONGEST}/", LONGEST, 443, True),
    ],
)
def test_hosts_come_out_in_one_spelling(text, host, port, standard):
    assert place(text) == Place(host, port, standard)


@pytest.mark.parametrize(
    "text",
    [
        # credentials, and what some readers take for them
        "https://api.example.com@evil.com/",
        "https://api.example.com:443@evil.com/",
        "https://@evil.com/",
        "https://api.example.com?@evil.com/",
        "https://api.example.com#@evil.com/",
        "https://evil.com#@api.example.com",
        "https://evil.com?x@api.example.com",
        "https://api.example.com:80#@evil.com/",
        "api.example.com@evil.com",
        "api.example.com?@evil.com",
        # backslashes: a slash to browsers, a character to others
        "https://evil.com\\@api.example.com/",
        "https://evil.com\\.api.example.com/",
        "https:\\\\evil.com/",
        "\\\\evil.com\\share",
        "https://api.example.com\\x",
        # a scheme without its slashes, or with too many
        "https:evil.com",
        "https:/evil.com",
        "https:///evil.com",
        "http:1",
        "https:80/evil.com",
        "//evil.com",
        "///evil.com",
        "://evil.com",
        "evil.com://api.example.com",
        "api.example.com/?u=https://evil.com",
        # white space and controls, which some strip and some cut at
        "https://evil.com\t.api.example.com/",
        "https://api.exam\nple.com/",
        "https://api.example.com/\r\nHost: evil.com",
        "\x00https://api.example.com/",
        " https://api.example.com/",
        "https://api.example.com/ ",
        "https://api.example.com /",
        "https://api.example.com\u3000/",
        "https://api.example.com/\u2028https://evil.com",
        "https://api.example.com/\u200b",
        "https://api.example.com/\x7f",
        "https://api.example.com\u202e/",
        # encoded characters in the host
        "https://api.example.com%2f.evil.com/",
        "https://api.example.com%2F@evil.com/",
        "https://evil.com%00.api.example.com/",
        "https://evil%2ecom/",
        "https://evil.com%40api.example.com/",
        # numbers that are addresses to some
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://017700000001/",
        "http://127.1/",
        "http://127.0.1/",
        "http://127.0.0.01/",
        "http://127.0.0.1./",
        "http://127.0.0.256/",
        "http://1.2.3.4.5/",
        "http://１２７.0.0.1/",
        "http://127.0.0.１/",
        "http://0x7f.０/",
        "http://evil.0x1/",
        "http://evil.1/",
        "http://0x/",
        # IPv6 in odd company
        "https://[evil.com]/",
        "https://evil.com[::1]/",
        "https://evil.com[api.example.com]/",
        "https://[::1]evil.com/",
        "https://[::1]:80:90/",
        "https://[fe80::1%25eth0]/",
        "https://[::1",
        "https://::1/",
        "::1",
        "https://[]/",
        "https://[:::]/",
        # names with two readings, or none
        "https://straße.de/",
        "https://faß.example/",
        "https://σς.example/",
        "https://a\u200db.example/",
        "https://xn--a/",
        "https://a.xn--a/",
        "https://xn--/",
        "https://xn--80ak6aa92e-.com/",
        "https://℀.example/",
        "https://evil.com／.api.example.com/",
        "https://evil.com＃.api.example.com/",
        "https://evil.com＠api.example.com/",
        "https://evil.com：80/",
        "https://evil.com？.api.example.com/",
        "https://a..b/",
        "https://.a/",
        "https://a../",
        "https://./",
        "https://-a.b/",
        "https://a-.b/",
        "https://a_b.c/",
        "https://*.example.com/",
        "https://" + "a" * 64 + ".com/",
        "https://" + "a." * 127 + "com/",
        f"https://a{LONGEST}/",
        # ports
        "https://api.example.com:/",
        "https://api.example.com:65536/",
        "https://api.example.com:443443/",
        "https://api.example.com:-1/",
        "https://api.example.com:+443/",
        "https://api.example.com:４４３/",
        "https://api.example.com:80a/",
        # other schemes
        "file:///etc/passwd",
        "file://localhost/etc/passwd",
        "javascript:alert(1)",
        "javascript://api.example.com/%0aalert(1)",
        "data:text/html,x",
        "gopher://api.example.com/",
        "mailto:a@api.example.com",
        "htt\u017fps://api.example.com/",
        "blob:https://api.example.com/x",
        "view-source:https://api.example.com/",
        "",
        ".",
        ":",
        "?",
        "#",
        "<https://api.example.com>",
        '"https://api.example.com"',
        "https://api.example.com/`id`",
    ],
)
def test_what_readers_may_differ_on_has_no_place(text):
    assert place(text) is None


def second_reading(text):
    """The host as urllib reads it, in ASCII by IDNA 2003: how `urllib.request` would connect."""
    host = urlsplit(text if "://" in text else f"//{text}").hostname
    return host if host is None or ":" in host else host.encode("idna").decode().removesuffix(".")


pieces = st.sampled_from(
    "https http HTTPS :// // / \\ @ ? # : . .. :443 :80 % %2f %40 %00 evil.com api.example.com 127.0.0.1 0x7f.1"
    " 1 [::1] [ ] xn--bcher-kva bücher straße ｅ 。 \t \n \x00 \u00a0 \u200d \u00ad a - _ * & ß İ ① user:pw".split(
        " "
    )
)


@given(st.lists(pieces, min_size=1, max_size=8).map("".join) | st.text(max_size=20).map("https://".__add__))
def test_what_is_accepted_is_the_same_host_to_another_reader(text):
    found = place(text)
    if found is not None and ":" not in found.host:
        assert second_reading(text) == found.host


@given(st.text(max_size=30))
def test_no_text_breaks_the_readers(text):
    place(text)
    mail_addresses(text)


@pytest.mark.parametrize(
    ("pattern", "text", "covers"),
    [
        ("api.example.com", "https://api.example.com/x", Truth.YES),
        ("API.EXAMPLE.com.", "https://api.example.com/x", Truth.YES),
        ("api.example.com", "http://api.example.com/x", Truth.YES),
        ("api.example.com", "api.example.com", Truth.YES),
        ("api.example.com", "https://api.example.com:443", Truth.YES),
        ("api.example.com", "https://api.example.com:8443", Truth.UNKNOWN),
        ("api.example.com", "api.example.com:443", Truth.UNKNOWN),
        ("api.example.com", "https://evil-api.example.com", Truth.NO),
        ("api.example.com", "https://api.example.com.evil.com", Truth.NO),
        ("api.example.com", "https://x.api.example.com", Truth.NO),
        ("api.example.com", "https://example.com", Truth.NO),
        ("example.com", "https://evilexample.com", Truth.NO),
        ("*.example.com", "https://a.example.com", Truth.YES),
        ("*.example.com", "https://a.b.example.com", Truth.YES),
        ("*.example.com", "https://example.com", Truth.NO),
        ("*.example.com", "https://evilexample.com", Truth.NO),
        ("*.example.com", "https://a.example.com:1", Truth.UNKNOWN),
        ("*.example.com:1", "https://a.example.com:1", Truth.YES),
        ("api.example.com:443", "https://api.example.com/", Truth.YES),
        ("api.example.com:443", "http://api.example.com/", Truth.NO),
        ("api.example.com:443", "api.example.com", Truth.UNKNOWN),
        ("api.example.com:443", "api.example.com:443", Truth.YES),
        ("api.example.com:8443", "https://api.example.com:8443", Truth.YES),
        ("api.example.com:8443", "https://api.example.com", Truth.NO),
        ("bücher.example", "https://xn--bcher-kva.example", Truth.YES),
        ("xn--bcher-kva.example", "https://BÜCHER.example", Truth.YES),
        ("раypal.com", "https://paypal.com", Truth.NO),
        ("paypal.com", "https://раypal.com", Truth.NO),
        ("169.254.169.254", "http://[::ffff:169.254.169.254]/", Truth.YES),
        ("[::1]", "http://[0::1]/", Truth.YES),
        ("[::1]:80", "http://[::1]/", Truth.YES),
        ("localhost", "http://localhost", Truth.YES),
    ],
)
def test_a_pattern_covers_its_host_and_no_other(pattern, text, covers):
    found = place(text)
    assert found is not None
    assert HostPattern.parse(pattern).covers(found) is covers


def test_a_host_alone_is_one_on_the_port_that_is_its_scheme_s_own():
    assert HostPattern.parse("api.example.com").covers(Place("api.example.com")) is Truth.YES
    assert HostPattern.parse("api.example.com:443").covers(Place("api.example.com")) is Truth.UNKNOWN


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "*.",
        "",
        ".",
        "*.*.com",
        "a.*",
        "*a.com",
        "https://a.com",
        "a.com/",
        "a.com?x",
        "a.com#x",
        "u@a.com",
    ]
    + ["0x7f.1", "127.1", "a.com:", "a.com:99999", "a b", "**.com", "*:80", "::1", "http:80", "straße.de"],
)
def test_a_pattern_that_is_no_host_is_refused(text):
    with pytest.raises(ValueError, match="is no host: write api"):
        HostPattern.parse(text)


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("dana@corp.example", ("dana@corp.example",)),
        ("Dana@Corp.Example", ("dana@corp.example",)),
        ("<dana@corp.example>", ("dana@corp.example",)),
        ("Dana Scully <dana@corp.example>", ("dana@corp.example",)),
        ("Dana O'Neil-Šmíd Jr. <dana@corp.example>", ("dana@corp.example",)),
        (" dana@corp.example ", ("dana@corp.example",)),
        ("dana+list@corp.example", ("dana+list@corp.example",)),
        ("d.a-n_a@corp.example", ("d.a-n_a@corp.example",)),
        ("a@x.y, b@x.y", ("a@x.y", "b@x.y")),
        ("a@x.y;b@x.y", ("a@x.y", "b@x.y")),
        ("a@x.y;B <b@x.y> ", ("a@x.y", "b@x.y")),
        ("a@xn--bcher-kva.example", ("a@xn--bcher-kva.example",)),
    ],
)
def test_plain_addresses_and_lists_of_them_are_read(text, addresses):
    assert mail_addresses(text) == addresses
    assert [a.lower() for _, a in getaddresses([text.replace(";", ",")])] == list(addresses)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ",",
        "a@x.y,",
        ",a@x.y",
        "a@x.y,,b@x.y",
        "dana",
        "@x.y",
        "dana@",
        "a@b@x.y",
        "a@x.y b@x.y",
        "<a@x.y> b@evil.com",
        "a@x.y <b@evil.com>",
        '"a@x.y" <b@evil.com>',
        '"Dana" <a@x.y>',
        '"b@evil.com, " a@x.y',
        '"a b"@x.y',
        "a(b@evil.com)@x.y",
        "(comment) a@x.y",
        "a@x.y (b@evil.com)",
        "Friends: a@x.y, b@evil.com;",
        "Friends:a@x.y;",
        "<@evil.com:a@x.y>",
        "<@evil.com,@b:a@x.y>",
        "<<a@x.y>>",
        "<a@x.y",
        "a@x.y>",
        "a@x.y<b@evil.com>",
        "a@x.y\\,b@evil.com",
        # line breaks: more headers
        "a@x.y\r\nBcc: b@evil.com",
        "a@x.y\r\nBcc:b@evil.com",
        "a@x.y\n",
        "\ra@x.y",
        "a@x.y\x00",
        "a\t@x.y",
        "\ta@x.y",
        "Dana\r\n\r\nbody <a@x.y>",
        "Dana\u2028Bcc <a@x.y>",
        "Dana\x85 <a@x.y>",
        "Dana\u202e <a@x.y>",
        # routes, pipes, options
        "b%evil.com@x.y",
        "evil.com!b@x.y",
        "|/bin/sh@x.y",
        "-oQ/tmp@x.y",
        "a/b@x.y",
        "`id`@x.y",
        "$HOME@x.y",
        ".a@x.y",
        "a.@x.y",
        "a..b@x.y",
        "dänа@x.y",
        "＠x.y",
        "a＠x.y",
        # domains
        "a@bücher.example",
        "a@x..y",
        "a@.y",
        "a@y.",
        "a@x_y.z",
        "a@-x.y",
        "a@[127.0.0.1]",
        "a@127.1",
        "a@0x7f.1",
        "a@x.y:25",
        "mailto:a@x.y",
        "mailto:a@x.y?bcc=b@evil.com",
        "a@x.y?bcc=b@evil.com",
    ],
)
def test_what_mail_readers_may_differ_on_is_no_address(text):
    assert mail_addresses(text) is None


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("Dana@Corp.Example", "dana@corp.example"),
        ("Dana <dana@corp.example>", "dana@corp.example"),
        ("@Corp.Example", "@corp.example"),
        ("x@corp.example", "x@corp.example"),
    ],
)
def test_an_entry_is_an_address_or_a_domain(text, entry):
    assert recipient(text) == entry


@pytest.mark.parametrize(
    "text", ["", "dana", "@", "@@x.y", "*@x.y", "a@x.y,b@x.y", "@x.y,@z", "@x.y, a@x.y", "x.y"]
)
def test_an_entry_that_is_neither_is_refused(text):
    with pytest.raises(ValueError, match="is neither a mail address nor @domain"):
        recipient(text)
