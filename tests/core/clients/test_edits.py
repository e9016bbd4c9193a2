"""Taking servers out of a text and putting them back: the second undoes the first, whatever the text is like."""

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.clients.texts import files, tomls

from blastwall.clients.documents import parsed
from blastwall.clients.edits import NAME, replaced, restored
from blastwall.clients.reading import Unreadable
from blastwall.clients.table import Form

KEYS = ("mcpServers",)
ENTRY = {"command": "/bin/blastwall", "args": ["proxy", "--policy", "/p.yaml"]}


@given(files())
def test_the_way_back_is_exact_and_nothing_else_changed(made):
    text, data, taken = made
    edited = replaced(text, Form.JSON, KEYS, taken, ENTRY)
    kept = {name: block for name, block in data["mcpServers"].items() if name not in taken}
    assert parsed(edited.text, Form.JSON) == data | {"mcpServers": kept | {NAME: ENTRY}}
    assert restored(edited.text, Form.JSON, KEYS, edited.runs).text == text


@given(files(), st.booleans(), st.sampled_from(["new", "files"]))
def test_what_the_client_wrote_meanwhile_stays(made, last, added):
    text, data, taken = made
    edited = replaced(text, Form.JSON, KEYS, taken, ENTRY)
    meanwhile = parsed(edited.text, Form.JSON)
    theirs = {"command": "theirs"}
    servers = meanwhile["mcpServers"]
    meanwhile["mcpServers"] = (
        servers | {added: theirs} if last else {added: theirs} | servers | {added: theirs}
    )
    meanwhile["count"] = 7
    back = restored(json.dumps(meanwhile, indent=4), Form.JSON, KEYS, edited.runs)
    wanted = data | {"mcpServers": data["mcpServers"] | {added: theirs}, "count": 7}
    assert parsed(back.text, Form.JSON) == wanted
    assert set(back.kept) == ({added} if added in taken else set())


@given(tomls())
def test_the_same_in_toml(made):
    text, taken = made
    keys = ("mcp_servers",)
    edited = replaced(text, Form.TOML, keys, taken, ENTRY)
    servers = tomllib.loads(edited.text)["mcp_servers"]
    assert servers[NAME] == ENTRY
    assert not taken & servers.keys()
    assert restored(edited.text, Form.TOML, keys, edited.runs).text == text
    more = edited.text.rstrip() + '\n\n[mcp_servers.new]\ncommand = "n"\n'
    back = tomllib.loads(restored(more, Form.TOML, keys, edited.runs).text)
    assert back["mcp_servers"] == tomllib.loads(text)["mcp_servers"] | {"new": {"command": "n"}}


def one(text, *taken):
    edited = replaced(text, Form.JSON, KEYS, taken, {"command": "b"})
    assert restored(edited.text, Form.JSON, KEYS, edited.runs).text == text
    return edited.text


def test_it_is_written_as_the_file_is():
    assert one('{"mcpServers": {"a": {}}}', "a") == '{"mcpServers": {"blastwall": {"command": "b"}}}'
    tabs = '{\n\t"mcpServers": {\n\t\t"a": {}\n\t}\n}\n'
    assert one(tabs, "a") == tabs.replace('"a": {}', '"blastwall": {\n\t\t\t"command": "b"\n\t\t}')
    wide = '{\r\n    "mcpServers": {\r\n        "a": {},\r\n        "b": 1, // b\r\n    }\r\n}'
    entry = '"blastwall": {\r\n            "command": "b"\r\n        }'
    assert one(wide, "a", "b") == wide.replace('"a": {},\r\n        "b": 1', entry)


def test_what_stays_in_between_stays_in_its_place():
    text = '{"mcpServers": {"a": 1, "x": 2, "b": 3, /* y */ "y": 4, "c": 5}}'
    assert (
        one(text, "a", "b", "c") == '{"mcpServers": {"blastwall": {"command": "b"}, "x": 2, /* y */ "y": 4}}'
    )
    assert (
        one(text, "b")
        == '{"mcpServers": {"a": 1, "x": 2, "blastwall": {"command": "b"}, /* y */ "y": 4, "c": 5}}'
    )


def test_servers_come_back_though_their_neighbour_is_gone():
    text = '{"mcpServers": {"a": 1, "x": 2, "b": 3}}'
    edited = replaced(text, Form.JSON, KEYS, {"a", "b"}, {"command": "b"})
    meanwhile = edited.text.replace('"x": 2', '"z": 9')
    back = restored(meanwhile, Form.JSON, KEYS, edited.runs).text
    assert json.loads(back) == {"mcpServers": {"a": 1, "b": 3, "z": 9}}


def test_the_proxy_goes_where_nothing_comes_back():
    edited = replaced('{"mcpServers": {"a": 1}}', Form.JSON, KEYS, {"a"}, {"command": "b"})
    for servers in ('{"a": 2, "blastwall": {}}', '{"blastwall": {}, "a": 2}', '{"a": 2}'):
        back = restored(f'{{"mcpServers": {servers}}}', Form.JSON, KEYS, edited.runs)
        assert (json.loads(back.text), back.kept) == ({"mcpServers": {"a": 2}}, ("a",))


def test_a_text_without_a_place_for_servers():
    edited = replaced('{"mcpServers": {"a": 1}}', Form.JSON, KEYS, {"a"}, {})
    for text in ("{}", "[]", '{"mcpServers": 1}'):
        with pytest.raises(Unreadable, match="there is no place for servers"):
            restored(text, Form.JSON, KEYS, edited.runs)
