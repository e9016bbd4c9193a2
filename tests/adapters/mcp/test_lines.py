"""The framing survives whatever bytes arrive."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall_mcp.wire import lines as _lines
from blastwall_mcp.wire.lines import (
    Answer,
    Broken,
    Failure,
    Notice,
    Request,
    Splitter,
    TooLong,
    line,
    message,
)

PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'


@given(st.lists(st.binary(max_size=60).filter(lambda b: b"\n" not in b), max_size=10), st.data())
def test_lines_are_found_however_they_are_cut(lines, data):
    whole = b"".join(one + b"\n" for one in lines)
    splitter, found, at = Splitter(), [], 0
    while at < len(whole):
        size = data.draw(st.integers(1, len(whole) - at))
        found += splitter.feed(whole[at : at + size])
        at += size
    assert found == lines


def test_a_line_without_an_end_is_none_yet():
    splitter = Splitter()
    assert splitter.feed(PING + b"\n" + PING) == [PING]
    assert splitter.feed(b"\n") == [PING]


@pytest.mark.parametrize("pieces", [[b"x" * 201], [b"x" * 101, b"y" * 100], [b"x" * 150, b"y" * 60 + b"\n"]])
def test_a_line_over_the_limit_is_not_kept(pieces, monkeypatch):
    monkeypatch.setattr(_lines, "MAX_LINE", 200)
    splitter = Splitter()
    with pytest.raises(TooLong):
        [splitter.feed(piece) for piece in pieces]


@given(st.binary(max_size=60))
def test_noise_is_no_message(noise):
    found = message(noise)
    assert found is None or isinstance(found, Broken | Failure)


@pytest.mark.parametrize(
    ("text", "is_"),
    [
        ('{"jsonrpc":"2.0","id":1,"method":"m"}', Request(1, "m", None)),
        ('{"jsonrpc":"2.0","id":"a","method":"m","params":{"x":[1]}}', Request("a", "m", {"x": [1]})),
        ('{"jsonrpc":"2.0","method":"m","params":{}}', Notice("m", {})),
        ('{"jsonrpc":"2.0","id":1,"result":{"a":1}} \r', Answer(1, {"a": 1})),
        (
            '{"jsonrpc":"2.0","id":1,"error":{"code":-3,"message":"no","data":[1],"more":1}}',
            Failure(1, -3, "no", [1]),
        ),
    ],
)
def test_messages_are_read_as_they_are(text, is_):
    assert message(text.encode()) == is_


@pytest.mark.parametrize(
    "text",
    [
        '{"jsonrpc":"2.0","id":7,"result":[]}',
        '{"jsonrpc":"2.0","id":7,"result":null}',
        '{"jsonrpc":"2.0","id":7}',
        '{"jsonrpc":"2.0","id":7,"result":{},"error":{"code":1,"message":""}}',
        '{"jsonrpc":"2.0","id":7,"error":"no"}',
        '{"jsonrpc":"2.0","id":7,"error":{"code":"x","message":""}}',
        '{"jsonrpc":"2.0","id":7,"error":{"code":1}}',
        '{"jsonrpc":"2.0","id":7,"result":{"x":NaN}}',
        '{"jsonrpc":"2.0","id":7,"result":{"x":"\\ud800"}}',
        '{"jsonrpc":"2.0","id":7,"result":{"x":1e999}}',
    ],
)
def test_a_broken_answer_still_answers(text):
    assert message(text.encode()) == Failure(7, -32603, "malformed answer")


@pytest.mark.parametrize(
    "text",
    [
        '{"jsonrpc":"2.0","id":7,"method":1}',
        '{"jsonrpc":"2.0","id":7,"method":"m","params":[1]}',
        '{"jsonrpc":"2.0","id":7,"method":"m","params":{"x":Infinity}}',
    ],
)
def test_a_broken_request_says_whom_to_tell(text):
    assert message(text.encode()) == Broken(7)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"1",
        b'[{"jsonrpc":"2.0","id":1,"method":"m"}]',
        b'{"id":1,"method":"m"}',
        b'{"jsonrpc":"1.0","id":1,"method":"m"}',
        b'{"jsonrpc":"2.0","id":true,"method":"m"}',
        b'{"jsonrpc":"2.0","id":null,"method":"m"}',
        b'{"jsonrpc":"2.0","id":1.5,"result":{}}',
        b'{"jsonrpc":"2.0","id":[1],"result":{}}',
        b'{"jsonrpc":"2.0","method":"m","params":[]}',
        b'{"jsonrpc":"2.0","result":{}}',
        b'{"jsonrpc":"2.0","id":1,"method":"\xff"}',
        b'{"jsonrpc":"2.0","id":1,"method":"m","params":{"x":' + b"[" * 100_000,
        b'{"jsonrpc":"2.0","id":1,"result":{"x":' + b"[" * 5000 + b"]" * 5000 + b"}}",
        b'\xef\xbb\xbf{"jsonrpc":"2.0","method":"m"}',
    ],
)
def test_what_is_no_message_is_none(text):
    assert message(text) is None


def test_of_two_equal_keys_one_counts_for_everybody():
    found = message(b'{"jsonrpc":"2.0","method":"a","method":"b"}')
    assert found == Notice("b", None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON))
def test_what_is_written_is_read_equal(value):
    sent = line({"jsonrpc": "2.0", "id": 1, "result": value})
    assert sent.endswith(b"\n")
    assert sent.count(b"\n") == 1
    assert message(sent) == Answer(1, value)
    assert json.loads(sent)["result"] == value
