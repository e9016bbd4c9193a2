"""Names and addresses: asked once, and never inward."""

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.egress.sites import allow

from blastwall.egress import resolve
from blastwall.egress.networks import Unreachable, is_public, named
from blastwall.egress.resolve import Resolver
from blastwall.values import Destination


@pytest.mark.parametrize(
    "text", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::8.8.8.8", "2001:4860:4860::8888"]
)
def test_public_addresses(text):
    assert is_public(text)


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "169.254.1.1",
        "100.64.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::127.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::8.8.8.8",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2606:4700::5efe:127.0.0.1",
        "fe80::1",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "ff02::1",
        "2001:db8::1",
        "100::1",
        "nonsense",
    ],
)
def test_addresses_that_are_not_public(text):
    assert not is_public(text)


@given(st.ip_addresses(v=4))
def test_an_address_in_disguise_is_what_it_is(address):
    for disguise in (f"64:ff9b::{address}", f"2606:4700::5efe:{address}"):
        assert is_public(disguise) == is_public(str(address))


def test_an_own_address_is_not_public():
    own = resolve.Interfaces()()
    assert {"127.0.0.1"} <= {str(address) for address in own}
    assert not is_public("8.8.8.8", frozenset({resolve.ipaddress.ip_address("8.8.8.8")}))


@pytest.mark.parametrize("text", ["10.1.2.3", "127.0.0.1", "::1", "fd00::1"])
def test_what_a_policy_may_name(text):
    assert named(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "fd00:ec2::254",
        "fe80::1",
        "0.0.0.0",
        "224.0.0.1",
        "100.100.100.200",
        "2002:a9fe:a9fe::",
    ],
)
def test_what_not_even_a_policy_opens(text):
    with pytest.raises(Unreachable):
        named(text)


def resolver(*answers):
    """Give a resolver whose names have these addresses, one answer after the other, and what was asked."""
    asked = []

    async def lookup(host):
        asked.append(host)
        await asyncio.sleep(0)
        answer = answers[min(len(asked), len(answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Resolver(lookup, frozenset), asked


async def test_a_name_is_asked_for_once():
    """A name that changes its mind (DNS rebinding) is not heard."""
    names, asked = resolver(["8.8.8.8"], ["127.0.0.1"])
    found = await asyncio.gather(*(names.addresses("api.test") for _ in range(5)))
    assert set(found) == {("8.8.8.8",)}
    assert await names.addresses("api.test") == ("8.8.8.8",)
    assert asked == ["api.test"]


async def test_after_its_time_a_name_is_asked_for_and_checked_anew(monkeypatch):
    monkeypatch.setattr(resolve, "KEPT_S", -1.0)
    names, asked = resolver(["8.8.8.8"], ["127.0.0.1"])
    assert await names.addresses("api.test") == ("8.8.8.8",)
    with pytest.raises(Unreachable, match="not of the public internet"):
        await names.addresses("api.test")
    assert len(asked) == 2


@pytest.mark.parametrize(
    "answer",
    [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["169.254.169.254"], [], ["fe80::1%eth0"], ["::ffff:127.0.0.1"]],
)
async def test_a_name_with_any_address_that_is_not_public_has_none(answer):
    names, _ = resolver(answer)
    with pytest.raises(Unreachable):
        await names.addresses("api.test")


async def test_names_that_are_not_there(monkeypatch):
    names, _ = resolver(socket.gaierror(-2, "no"))
    with pytest.raises(Unreachable, match="can't be resolved"):
        await names.addresses("api.test")
    monkeypatch.setattr(resolve, "TIMEOUT_S", 0.01)

    async def never(host):
        await asyncio.sleep(60)

    with pytest.raises(Unreachable, match="in time"):
        await Resolver(never, frozenset).addresses("api.test")


async def test_what_is_pinned_is_not_asked_for():
    names, asked = resolver(["8.8.8.8"])
    assert await names.addresses("git.corp", ("10.1.2.3",)) == ("10.1.2.3",)
    assert await names.addresses("10.1.2.3") == ("10.1.2.3",)
    assert asked == []


async def test_only_so_many_names_are_kept(monkeypatch):
    monkeypatch.setattr(resolve, "MOST_KEPT", 2)
    names, _ = resolver(["8.8.8.8"])
    for number in range(5):
        await names.addresses(f"a{number}.test")
    assert len(names._known) == 2


async def test_the_system_s_resolver():
    assert "127.0.0.1" in set(await resolve._system("localhost")) | {"127.0.0.1"}
    with pytest.raises(Unreachable):
        await Resolver().addresses("localhost")


# --- Through the gate ---


def test_a_name_that_leads_inward(inside, site):
    names, _ = resolver(["127.0.0.1"])
    gate = inside(Destination("api.test", ports=(site.port, 443)), resolver=names)
    assert b"not of the public internet" in gate.get(f"http://api.test:{site.port}/")
    assert gate.tunnel("api.test", site.port) is None
    assert gate.tunnel("api.test", 443, "socks") is None
    assert site.connections == 0
    assert len(gate.refused) == 3


def test_the_control_that_a_pinned_name_is_reached(inside, site):
    gate = inside(allow("api.test", site))
    assert b"200 OK" in gate.get(f"http://api.test:{site.port}/")


def test_names_that_are_refused_are_not_asked_for(inside):
    names, asked = resolver(["8.8.8.8"])
    gate = inside(Destination("*.api.test", ports=(80, 443)), resolver=names)
    gate.get("http://stolen-data.evil.test/")
    gate.tunnel("stolen-data.evil.test", 443)
    gate.tunnel("stolen-data.evil.test", 443, "socks")
    gate.get("http://stolen.api.test:81/")
    assert asked == []


def test_names_below_a_wildcard_are_paid_for(inside):
    names, asked = resolver(socket.gaierror(-2, "no"))
    gate = inside(Destination("*.api.test", ports=(80,), upload_kb=1), resolver=names)
    for number in range(8):
        gate.get(f"http://{'x' * 60}.{'y' * 60}.{'z' * 60}.{number}.api.test/")
    assert len(asked) == 5
    assert "upload budget" in gate.refused[-1]
