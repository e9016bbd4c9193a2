"""Which names a description speaks of, and which words are only words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall.frozen import freeze
from blastwall_mcp.catalogue.speech import MOST_NAMES, Speech, is_distinctive, joined, key, said


def of(text):
    return said({"description": text})


@pytest.mark.parametrize("name", ["read_file", "readFile", "ReadFile", "get-all-things", "rеad_file"])
def test_names_that_no_dictionary_has(name):
    assert is_distinctive(name)
    assert key(name) in of(f"First call {name}, then go on.").names


@pytest.mark.parametrize("name", ["read", "log", "READ", "sequentialthinking", "sign-in", "_x", "é"])
def test_words(name):
    assert not is_distinctive(name)
    assert of(f"First call {name}, then go on.").names == frozenset()


@pytest.mark.parametrize(
    "text",
    [
        "use files__read first",
        "use `files__read`.",
        "use mcp__files__read",
        "use mcp__blastwall__files__read now",
        "use files.read(path)",
        "use files/read",
        "use files:read",
        "use files_read",
        "use FILES__READ",
        "use ｆｉｌｅｓ__read",
        "use fi\u200bles__rеad",
    ],
)
def test_a_tool_together_with_its_connector(text):
    assert joined("files__read") in of(text).qualified


def test_words_that_only_stand_beside_each_other_are_no_name():
    said_ = of("files read, web-search and files - read; files: read")
    assert joined("files__read") not in said_.qualified
    assert joined("web__search") not in said_.qualified


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("call the `send` tool", "send"),
        ('the tool "send" does it', "send"),
        ("the tool named 'send'", "send"),
        ("the prompt called “send”", "send"),
        ("the `mail` server", "mail"),
    ],
)
def test_a_word_that_is_pointed_at(text, word):
    assert word in of(text).pointed


@pytest.mark.parametrize(
    "text",
    ["the mail connector", "the connector mail", "Mail MCP", "the MCP server named mail", "all mail__ tools"],
)
def test_a_word_that_is_told_to_be_a_connector(text):
    assert "mail" in of(text).servers


@pytest.mark.parametrize("text", ["sends mail", "the mail server", "mail tools", "a tool for mail"])
def test_a_word_that_is_not(text):
    assert "mail" not in of(text).servers | of(text).pointed


@pytest.mark.parametrize(
    "definition",
    [
        {"title": "read_file"},
        {"inputSchema": {"properties": {"a": {"description": "not read_file"}}}},
        {"inputSchema": {"properties": {"a": {"enum": ["as read_file does"]}}}},
        {"inputSchema": {"properties": {"do read_file first": {}}}},
        {"inputSchema": {"required": ["do\nread_file"]}},
        {"arguments": [{"name": "a", "description": "read_file"}]},
        {"annotations": {"title": "read_file"}},
        {"_meta": {"x": "as read_file does"}},
    ],
)
def test_speech_is_found_wherever_it_stands(definition):
    assert "read_file" in said(freeze(definition)).names


@pytest.mark.parametrize(
    "definition",
    [
        {"name": "read_file"},
        {"inputSchema": {"properties": {"read_file": {"type": "string"}}, "required": ["read_file"]}},
        {"inputSchema": {"properties": {"a": {"enum": ["read_file", "write_file"]}}}},
        {"uri": "file:///read_file"},
        {"inputSchema": {"properties": {"description": {"properties": {"read_file": {}}}}}},
    ],
)
def test_a_single_word_of_a_schema_is_no_speech(definition):
    assert said(freeze(definition)) == Speech()


def test_a_single_word_with_a_double_underscore_is():
    assert "files_read" in said({"inputSchema": {"enum": ("files__read",)}}).qualified


def test_a_text_without_end_is_cut_off():
    speech = said(tuple(f"about a{n}_b and" for n in range(2 * MOST_NAMES)))
    assert len(speech.names) <= MOST_NAMES


@given(
    st.recursive(st.text() | st.booleans() | st.none(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_anything_can_be_listened_to(value):
    said(freeze(value))
