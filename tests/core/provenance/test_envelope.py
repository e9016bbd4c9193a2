"""The values inside an output: documents in strings, and what an MCP server wraps around them."""

import json

import pytest

from blastwall.provenance.envelope import LARGEST, Part, parts


def part(path, value, raw=""):
    return Part(path, value, raw)


def nested(opening, inner, closing, times):
    return opening * times + inner + closing * times


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        (' \n[1, "b"]\t', [1, "b"]),
        ("[]", []),
        (nested("[", "", "]", 64), json.loads(nested("[", "", "]", 64))),
        (nested('{"a":', "{}", "}", 63), json.loads(nested('{"a":', "{}", "}", 63))),
        (f'["{"x" * (LARGEST - 4)}"]', ["x" * (LARGEST - 4)]),
    ],
    ids=lambda case: str(case)[:10],
)
def test_a_text_that_is_a_document_is_read(text, value):
    assert list(parts(text)) == [part("$", value, text)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "word",
        '"word"',
        "1",
        "[1",
        "[1}",
        '{"a": 1]',
        "[word]",
        "[1] [2]",
        nested("[", "", "]", 65),
        nested("[", "1", "]", 64),
        nested('{"a":', "{}", "}", 64),
        nested("[", "", "]", 100_000),
        f'["{"x" * (LARGEST - 3)}"]',
    ],
    ids=lambda case: str(case)[:10],
)
def test_any_other_text_is_prose(text):
    assert list(parts(text)) == [part("$", text)]


@pytest.mark.parametrize(
    ("result", "found"),
    [
        ({"content": [{"type": "text", "text": "a"}]}, [part("$.content[0].text", "a")]),
        ({"content": ({"type": "text", "text": "a"},)}, [part("$.content[0].text", "a")]),
        (
            {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "[1]"}]},
            [part("$.content[0].text", "a"), part("$.content[1].text", [1], "[1]")],
        ),
        (
            {"content": [{"type": "text", "text": "a"}], "isError": False},
            [part("$.content[0].text", "a"), part("$", {"isError": False})],
        ),
        ({"content": [], "structuredContent": {"a": 1}}, [part("$.structuredContent", {"a": 1})]),
        ({"content": [], "structuredContent": {"result": [1]}}, [part("$.structuredContent", [1])]),
        (
            {"content": [], "structuredContent": {"result": 1, "a": 2}},
            [part("$.structuredContent", {"result": 1, "a": 2})],
        ),
        ({"content": [], "structuredContent": {"a": [1]}}, [part("$.structuredContent", {"a": [1]})]),
        ([{"type": "text", "text": "a"}], [part("$[0].text", "a")]),
        (({"type": "text", "text": "a"},), [part("$[0].text", "a")]),
    ],
)
def test_an_mcp_result_is_unwrapped(result, found):
    assert list(parts(result)) == found


@pytest.mark.parametrize(
    ("block", "found"),
    [
        ({"type": "text"}, []),
        ({"type": "text", "text": "a"}, [part("$[0].text", "a")]),
        ({"type": "text", "text": 1}, [part("$[0]", {"text": 1})]),
        ({"type": "text", "text": "a", "b": "c"}, [part("$[0].text", "a"), part("$[0]", {"b": "c"})]),
        ({"type": "image", "data": "a"}, [part("$[0]", {"data": "a"})]),
        ({"type": "audio"}, [part("$[0]", {})]),
        ({"type": "resource_link", "uri": "a"}, [part("$[0]", {"uri": "a"})]),
        (
            {"type": "resource", "resource": {"uri": "a", "text": "[1]"}},
            [part("$[0].resource.text", [1], "[1]"), part("$[0]", {"resource": {"uri": "a"}})],
        ),
        ({"type": "resource", "resource": {"text": 1}}, [part("$[0]", {"resource": {"text": 1}})]),
        ({"type": "resource", "resource": "a"}, [part("$[0]", {"resource": "a"})]),
    ],
)
def test_of_a_block_its_text_stands_for_itself_and_nothing_else_is_lost(block, found):
    assert list(parts([block])) == found


@pytest.mark.parametrize(
    "output",
    [
        1,
        None,
        {},
        [],
        {"content": []},
        {"content": "x"},
        {"content": "", "structuredContent": 1},
        {"content": ["x"], "structuredContent": 1},
        {"content": [{"type": "page"}]},
        {"structuredContent": {"result": 1}},
        [{"type": "page"}],
        [{"type": "text", "text": "a"}, "x"],
    ],
)
def test_what_only_resembles_an_mcp_result_is_left_as_it_is(output):
    assert list(parts(output)) == [part("$", output)]
