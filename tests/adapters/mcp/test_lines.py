"""The framing survives whatever bytes arrive."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError

from blastwall_mcp import _lines
from blastwall_mcp._lines import Reader

PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n'


class Closing(asyncio.BaseTransport):
    def close(self):
        pass


def read(data: bytes, limit: int = 200) -> tuple[list[SessionMessage | Exception], Reader]:
    async def all_of_it() -> tuple[list[SessionMessage | Exception], Reader]:
        lines = asyncio.StreamReader(limit=limit)
        lines.feed_data(data)
        lines.feed_eof()
        reader = Reader(lines, Closing(), "a test")
        return [item async for item in reader], reader

    return asyncio.run(all_of_it())


@given(st.lists(st.binary(max_size=60).filter(lambda b: b"\n" not in b), max_size=10))
def test_messages_are_found_between_any_noise(noise):
    found, reader = read(b"".join(line + b"\n" + PING for line in noise))
    pings = [m for m in found if isinstance(m, SessionMessage) and getattr(m.message, "method", "") == "ping"]
    assert len(pings) == len(noise)
    assert reader.ended.is_set()
    assert reader.fault == ""


def test_a_message_without_an_end_is_none():
    assert read(PING + PING[:-10])[0][1:] == []


def test_a_line_over_the_limit_ends_the_connection():
    found, reader = read(PING + b"x" * 1000 + b"\n" + PING)
    assert len(found) == 1
    assert "message of more than" in reader.fault


def test_noise_has_a_bound(monkeypatch):
    monkeypatch.setattr(_lines, "MAX_NOISE", 3)
    found, reader = read(b"noise\n" * 3 + PING + b"noise\n" * 4 + PING)
    assert len(found) == 1
    assert "no JSON-RPC" in reader.fault


def test_a_broken_answer_still_answers():
    (item,), _ = read(b'{"jsonrpc":"2.0","id":7,"result":[]}\n')
    assert isinstance(item, SessionMessage)
    assert isinstance(item.message, JSONRPCError)
    assert item.message.id == 7
