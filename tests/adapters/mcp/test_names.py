"""Exposed names: short, plain, stable, and never two tools under one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall_mcp.catalogue.names import exposed, is_message, letters, owner, reads_as

CONNECTORS = st.from_regex(r"[A-Za-z0-9](?:_?[A-Za-z0-9.-]){0,8}", fullmatch=True)
TOOLS = st.text(min_size=1, max_size=80)
SEPARATORS = st.sampled_from(["__", "_", "-", "--"])


@given(CONNECTORS, TOOLS, SEPARATORS)
def test_every_name_is_one_that_clients_take(connector, tool, separator):
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", exposed(connector, tool, separator))


@given(CONNECTORS, TOOLS)
def test_a_plain_name_says_whose_tool_it_is(connector, tool):
    if re.fullmatch(r"[a-zA-Z0-9_-]{1,20}", tool) and "." not in connector:
        name = exposed(connector, tool)
        assert name == f"{connector}__{tool}" or re.search(r"_[0-9a-f]{12}\Z", tool)
        assert owner(f"{connector}__{tool}", [connector, "x" * 40]) == connector


@given(CONNECTORS, TOOLS, CONNECTORS, TOOLS)
def test_two_tools_have_two_names(connector, tool, other, another):
    if (connector, tool) != (other, another):
        assert exposed(connector, tool) != exposed(other, another)


@given(CONNECTORS, TOOLS, CONNECTORS, TOOLS, SEPARATORS)
def test_an_altered_name_can_not_be_forged_whatever_the_separator(connector, tool, other, another, separator):
    name = exposed(connector, tool, separator)
    altered = name != f"{connector}{separator}{tool}"
    assert altered == bool(re.search(r"_[0-9a-f]{12}\Z", name))
    forged = exposed(other, name.removeprefix(other + separator), separator)
    if altered and (other, name.removeprefix(other + separator)) != (connector, tool):
        assert forged != name


def test_names_stay_what_they_are():
    assert exposed("files", "read") == "files__read"
    assert exposed("test", "simple_text", "_") == "test_simple_text"
    assert exposed("files", "x" * 80) == "files_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx_5179a044b77f"
    assert exposed("files", "x" * 80) != exposed("files", "x" * 81)
    assert exposed("a.b", "read") != exposed("a-b", "read")
    assert exposed("files", "rm_0123456789ab") != "files__rm_0123456789ab"


@pytest.mark.parametrize(
    ("name", "whose"),
    [
        ("git__log", "git"),
        ("git_hub__log", "git_hub"),
        ("git_hub__log__x", "git_hub"),
        ("gi__log", None),
        ("git_log", None),
    ],
)
def test_a_name_belongs_to_the_longest_connector_that_it_begins_with(name, whose):
    assert owner(name, ["git", "git_hub"]) == whose


def test_with_one_underscore_the_longest_connector_still_wins():
    assert owner("git_hub_log", ["git", "git_hub"], "_") == "git_hub"
    assert owner("test_input_required", ["test", "json"], "_") == "test"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("files read", "fiIes__read"),
        ("files read", "Files-READ"),
        ("files read", "files.rе\u200bad"),
        ("files read", "ｆｉｌｅｓ　read"),
        ("v1", "vl"),
        ("go", "g0"),
    ],
)
def test_names_that_a_reader_takes_for_one(one, other):
    assert reads_as(one) == reads_as(other)


def test_different_names_read_differently():
    assert reads_as("files read") != reads_as("files write")
    assert letters("read") == "read"
    assert letters("rеаd") == "read"


@pytest.mark.parametrize(
    "name",
    ["mcp:tools", "MCP:x", "ｍｃｐ：x", " mcp:resources/read", "tools/call", "Sampling/createMessage"],
)
def test_a_tool_named_like_a_message(name):
    assert is_message(name)


@pytest.mark.parametrize("name", ["ping", "initialize", "mcp_call", "mcp", "read/write", "tools"])
def test_ordinary_names_are_no_messages(name):
    assert not is_message(name)
