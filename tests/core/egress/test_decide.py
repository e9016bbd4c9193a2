"""Destinations against requests: silence denies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall.egress.decide import No, Rules, Yes
from blastwall.values import Destination


def test_no_destination_is_no_way():
    """An empty list once meant an open network elsewhere (CVE-2025-66479)."""
    rules = Rules([])
    assert rules.tunnel("api.test", 443) == No("this profile allows no destination")
    assert isinstance(rules.request("https", "api.test", 443, "GET", "/"), No)


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [
        ("api.test", 443, None),
        ("a.sub.test", 443, None),
        ("a.b.sub.test", 443, None),
        ("sub.test", 443, "not an allowed destination"),
        ("evilapi.test", 443, "not an allowed destination"),
        ("evilsub.test", 443, "not an allowed destination"),
        ("api.test.evil", 443, "not an allowed destination"),
        ("api.tes", 443, "not an allowed destination"),
        ("api.test", 80, "port 80"),
        ("127.0.0.1", 443, "not an allowed destination"),
    ],
)
def test_hosts_and_ports(host, port, reason):
    verdict = Rules([Destination("api.test"), Destination("*.sub.test")]).tunnel(host, port)
    assert isinstance(verdict, Yes) if reason is None else reason in verdict.reason


def test_what_is_looked_into():
    rules = Rules(
        [
            Destination("plain.test"),
            Destination("methods.test", methods=("GET",)),
            Destination("paths.test", paths=("/a",)),
            Destination("paths.test"),
            Destination("bound.test"),
        ],
        ["bound.test"],
    )
    seen = {h: rules.tunnel(f"{h}.test", 443).inspected for h in ("plain", "methods", "paths", "bound")}
    assert seen == {"plain": False, "methods": True, "paths": True, "bound": True}
    assert rules.inspects
    assert not Rules([Destination("plain.test")]).inspects


def test_the_first_destination_that_allows_pays():
    rules = Rules([Destination("a.test", methods=("GET",)), Destination("a.test", paths=("/up/**",))])
    assert rules.request("https", "a.test", 443, "GET", "/").account == 0
    assert rules.request("https", "a.test", 443, "POST", "/up/x").account == 1
    assert "method" in rules.request("https", "a.test", 443, "POST", "/").reason


@pytest.mark.parametrize(
    ("scheme", "port", "open_"),
    [
        ("http", 443, False),
        ("https", 80, False),
        ("http", 80, True),
        ("https", 443, True),
        ("http", 8080, True),
    ],
)
def test_which_scheme_is_spoken_on_which_port(scheme, port, open_):
    rules = Rules([Destination("a.test", ports=(80, 443, 8080))])
    assert isinstance(rules.request(scheme, "a.test", port, "GET", "/"), Yes) is open_


@pytest.mark.parametrize(
    ("glob", "path", "matches"),
    [
        ("/a", "/a", True),
        ("/a", "/a/", False),
        ("/a", "/A", False),
        ("/a/*", "/a/b", True),
        ("/a/*", "/a/b/c", False),
        ("/a/**", "/a/b/c", True),
        ("/a/**", "/ab", False),
        ("/a?c", "/abc", True),
        ("/a?c", "/a/c", False),
        ("/a.c", "/abc", False),
        ("/**", "/", True),
        ("/repos/*/issues", "/repos/x/issues", True),
        ("/%61", "/a", False),
    ],
)
def test_globs_of_paths(glob, path, matches):
    rules = Rules([Destination("a.test", paths=(glob,))])
    assert isinstance(rules.request("https", "a.test", 443, "GET", path), Yes) is matches


HOSTS = st.sampled_from(["a.test", "b.test", "x.a.test", "127.0.0.1", "a.test.b.test"])
PORTS = st.sampled_from([80, 443, 8080])
DESTINATIONS = st.builds(
    Destination,
    st.sampled_from(["a.test", "*.a.test", "b.test", "127.0.0.1"]),
    ports=st.sets(PORTS, min_size=1).map(tuple),
    methods=st.sampled_from([(), ("GET",), ("GET", "POST")]),
    paths=st.sampled_from([(), ("/a",), ("/a/**",)]),
)


@given(
    st.lists(DESTINATIONS, max_size=4),
    HOSTS,
    PORTS,
    st.sampled_from(["GET", "POST"]),
    st.sampled_from(["/a", "/a/b", "/a/../b"]),
)
def test_an_allowed_request_fits_a_destination_in_every_part(destinations, host, port, method, path):
    verdict = Rules(destinations).request("http" if port != 443 else "https", host, port, method, path)
    if isinstance(verdict, Yes):
        chosen = destinations[verdict.account]
        assert port in chosen.ports
        assert host == chosen.host or (chosen.host[0] == "*" and host.endswith(chosen.host[1:]))
        assert not chosen.methods or method in chosen.methods
        assert not chosen.paths or ".." not in path
