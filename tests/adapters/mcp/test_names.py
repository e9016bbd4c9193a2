"""Exposed names: short, plain, stable, and never two tools under one."""

import re

from hypothesis import given
from hypothesis import strategies as st

from blastwall_mcp._names import exposed

CONNECTORS = st.from_regex(r"[A-Za-z0-9](?:_?[A-Za-z0-9.-]){0,8}", fullmatch=True)
TOOLS = st.text(min_size=1, max_size=80)


@given(CONNECTORS, TOOLS)
def test_every_name_is_one_that_clients_take(connector, tool):
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", exposed(connector, tool))


@given(CONNECTORS, TOOLS)
def test_a_plain_name_says_whose_tool_it_is(connector, tool):
    if re.fullmatch(r"[a-zA-Z0-9_-]{1,20}", tool) and "." not in connector:
        assert exposed(connector, tool).split("__", 1) == [connector, tool]


@given(CONNECTORS, TOOLS, CONNECTORS, TOOLS)
def test_two_tools_have_two_names(connector, tool, other, another):
    if (connector, tool) != (other, another):
        assert exposed(connector, tool) != exposed(other, another)


@given(CONNECTORS, TOOLS)
def test_an_altered_name_can_not_be_forged_by_a_plain_one(connector, tool):
    name = exposed(connector, tool)
    assert name == f"{connector}__{tool}" or "__" not in name


def test_names_stay_what_they_are():
    assert exposed("files", "read") == "files__read"
    assert exposed("files", "x" * 80) == exposed("files", "x" * 80)
    assert exposed("files", "x" * 80) != exposed("files", "x" * 81)
    assert exposed("a.b", "read") != exposed("a-b", "read")
