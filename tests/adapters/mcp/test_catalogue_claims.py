"""Whose a URI is: templates, links, and what is too much."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall.frozen import freeze
from blastwall_mcp.catalogue.claims import LONGEST_URI, MOST_LINKS, Links, Template


@pytest.mark.parametrize(
    ("template", "uri"),
    [
        ("test://template/{id}/data", "test://template/123/data"),
        ("file:///{+path}", "file:///a/b/c.txt"),
        ("demo://text/{resourceId}", "demo://text/1"),
        ("repo://{owner}/{repo}{?ref}", "repo://a/b?ref=main"),
        ("note:{id}", "note:1"),
    ],
)
def test_a_template_claims_what_it_can_become(template, uri):
    assert Template(template).matches(uri)


@pytest.mark.parametrize(
    ("template", "uri"),
    [
        ("test://template/{id}/data", "test://template/1/2/data"),
        ("test://template/{id}/data", "test://template/1"),
        ("{+all}", "test://template/1"),
        ("{scheme}://{+rest}", "test://template/1"),
        ("{a}:x", "test:x"),
        ("test://{a}{b}", "test://ab"),
        ("test://{a", "test://a"),
        ("test://{a:3}", "test://a"),
        ("test://{+a}", "test://" + "a" * LONGEST_URI),
    ],
)
def test_what_a_template_does_not_claim(template, uri):
    assert not Template(template).matches(uri)


@given(st.text(), st.text())
def test_no_template_breaks_the_search(template, uri):
    Template("x:" + template).matches(uri)


LINK = {"type": "resource_link", "uri": "demo://1", "name": "one"}
EMBEDDED = {"type": "resource", "resource": {"uri": "demo://1", "text": "x"}}


@pytest.mark.parametrize(
    "result",
    [
        {"content": [{"type": "text", "text": "x"}, LINK]},
        {"content": [EMBEDDED]},
        {"messages": [{"role": "user", "content": EMBEDDED}]},
        {"messages": [{"role": "user", "content": [LINK]}]},
        {"content": [{"type": "tool_result", "content": [LINK]}]},
        freeze({"content": [LINK]}),
    ],
)
def test_links_of_an_output_are_remembered(result):
    links = Links()
    links.remember("demo", result)
    assert links.claimants("demo://1") == ["demo"]
    assert links.claimants("demo://2") == []


@pytest.mark.parametrize(
    "result",
    [
        None,
        "demo://1",
        {"structuredContent": LINK},
        {"content": [{"type": "text", "text": "demo://1", "uri": "demo://1"}]},
        {"content": [{"type": "resource", "resource": "demo://1"}]},
        {"content": [{"type": "resource_link", "uri": 1}]},
        {"contents": [{"uri": "demo://1"}]},
        {"content": [LINK | {"uri": "demo://" + "1" * LONGEST_URI}]},
    ],
)
def test_what_is_no_link_is_not(result):
    links = Links()
    links.remember("demo", result)
    assert links._links == {"demo": {}}


def test_deep_nesting_is_not_followed_for_ever():
    result = {"content": [LINK]}
    for _ in range(10_000):
        result = {"content": [result]}
    links = Links()
    links.remember("demo", result)
    assert links.claimants("demo://1") == []


def test_nested_lists_end_as_well():
    value = [LINK]
    for _ in range(500):
        value = [value]
    links = Links()
    links.remember("demo", {"content": value})


def test_each_connector_keeps_its_newest_links():
    links = Links()
    links.remember("quiet", {"content": [LINK]})
    for number in range(3 * MOST_LINKS):
        links.remember("loud", {"content": [LINK | {"uri": f"demo://{number}"}]})
    links.remember("loud", {"content": [LINK | {"uri": f"demo://{2 * MOST_LINKS}"}]})
    links.remember("loud", {"content": [LINK | {"uri": "new://"}]})
    assert len(links._links["loud"]) == MOST_LINKS
    assert links.claimants(f"demo://{2 * MOST_LINKS}") == ["loud"]
    assert links.claimants("demo://1") == ["quiet"]
