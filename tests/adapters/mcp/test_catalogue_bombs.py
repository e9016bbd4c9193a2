"""Schemas that nobody could check to the end are told from those that are only big, or go round in circles."""

import time

import pytest
from tests.adapters.mcp.shelves import REAL, Listing, catalogue, names, tool

from blastwall.screening import json_schema
from blastwall_mcp.catalogue.bombs import DEEPEST, HEAVIEST, MOST_NAMED, is_bomb


def doubling(levels, refer=lambda n: f"#/$defs/a{n}", name=lambda n: {}):
    """Give a schema in which each level asks for the next one twice."""
    defs = {f"a{n}": name(n) | {"allOf": [{"$ref": refer(n + 1)}] * 2} for n in range(levels)}
    return {"$ref": refer(0), "$defs": defs | {f"a{levels}": name(levels) | {"type": "object"}}}


def within(levels):
    schema = {}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


def chained(levels):
    defs = {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(levels)}
    return {"$ref": "#/$defs/a0", "$defs": defs | {f"a{levels}": {}}}


@pytest.mark.parametrize(
    "schema",
    [
        doubling(30),
        {"properties": {"a": doubling(30)["$defs"]}, **doubling(30)},
        {"$defs": {"a": {"$anchor": "x"}, "b": [{"$ref": "#x"} for _ in range(MOST_NAMED + 1)]}},
        doubling(30, lambda n: f"#a{n}", lambda n: {"$anchor": f"a{n}"}),
        doubling(30, lambda n: f"a{n}", lambda n: {"$id": f"a{n}"}),
        {"$defs": {"x": {"$id": "http://a.example/x"}, **doubling(30)["$defs"]}, "$ref": "#/$defs/a0"},
        within(DEEPEST),
        chained(DEEPEST),
        chained(50_000),
        {"anyOf": [{} for _ in range(HEAVIEST)]},
    ],
    ids=["doubling", "aside", "named", "anchors", "ids", "renamed", "deep", "chain", "long-chain", "wide"],
)
def test_a_bomb_is_one(schema):
    began = time.perf_counter()
    assert is_bomb(schema)
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize(
    "schema",
    [
        None,
        True,
        {},
        doubling(8),
        chained(100),
        {"$ref": "#"},
        {"$ref": "#/nowhere/0/x~1y"},
        {"prefixItems": [{}, {"$ref": "#/prefixItems/0"}, {"$ref": "#/prefixItems/9"}]},
        {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}},
        {"properties": {"$id": {}, "$ref": {"type": "string"}}},
        {"$id": "http://a.example/x", "oneOf": [{"$ref": "http://a.example/x#/$defs/a"} for _ in range(50)]},
        {"$defs": {"a": {"$anchor": "x"}}, "$ref": "#x"},
        {"properties": {"a": {"enum": list(range(2 * HEAVIEST))}}},
    ],
)
def test_what_can_be_checked_is_none(schema):
    assert not is_bomb(schema)


def test_what_is_let_through_is_checked_at_once():
    levels = next(n for n in range(40) if is_bomb(doubling(n + 1)))
    check = json_schema(doubling(levels))
    began = time.perf_counter()
    assert check({}) is None
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize("server", sorted(REAL))
def test_no_real_server_has_one(server):
    for item in REAL[server]["tools"]:
        assert not is_bomb(item["inputSchema"])
        assert not is_bomb(item.get("outputSchema"))


@pytest.mark.parametrize("where", ["inputSchema", "outputSchema"])
async def test_a_tool_with_one_is_hidden(where, tmp_path):
    servers = {"it": Listing([tool("good"), tool("bad", **{where: {"type": "object"} | doubling(30)})])}
    shown = catalogue(servers, tmp_path)
    assert await names(shown) == ["it__good"]
    assert "its schema would take too long to check" in str((await shown.find("tools", "it__bad")).barred)
