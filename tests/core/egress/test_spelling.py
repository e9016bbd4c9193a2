"""Hosts: one reading, or none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall.egress import spelling


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("api.test", "api.test"),
        ("API.Test", "api.test"),
        ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("[2001:DB8:0::1]", "2001:db8::1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
    ],
)
def test_hosts(text, read):
    assert spelling.host(text) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "api.test.",
        "api..test",
        "api.test\0",
        "evil.test\0.api.test",
        "evil.test%00.api.test",
        "api.test\r\nHost: evil.test",
        " api.test",
        "api.test ",
        "api\t.test",
        "api.test:80",
        "user@api.test",
        "api.test/",
        "api.test#",
        "api_test",
        "münchen.de",
        "api。test",  # an ideographic full stop, which IDNA takes for a dot
        "ⓐpi.test",
        "xn--zzzz-",
        "a" * 64 + ".test",
        "a." * 127 + "test",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0x7f.0.0.1",
        "127.0.0.1.",
        "[::1",
        "fe80::1%eth0",
        "[127.0.0.1]",
        "::1]",
        "[api.test]",
    ],
)
def test_hosts_that_readers_read_differently(text):
    assert spelling.host(text) is None


@given(st.text(max_size=300))
def test_a_host_is_read_as_itself_or_not_at_all(text):
    read = spelling.host(text)
    assert read is None or spelling.host(read) == read
    assert read is None or all(c.isascii() and (c.isalnum() or c in ".-:") for c in read)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("api.test:443", ("api.test", 443)),
        ("api.test", ("api.test", None)),
        ("[::1]:80", ("::1", 80)),
        ("api.test:0", None),
        ("api.test:65536", None),
        ("api.test:+80", None),
        ("api.test:", None),
        ("api.test:80:80", None),
        ("::1", None),
        ("api.test.:80", None),
    ],
)
def test_authorities(text, read):
    assert spelling.authority(text) == read


def test_how_a_host_is_shown():
    assert spelling.shown("api.test", 443, 443) == "api.test"
    assert spelling.shown("::1", 8443, 443) == "[::1]:8443"
