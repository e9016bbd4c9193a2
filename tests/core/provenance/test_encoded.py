"""Encoded runs: what they say comes out, and words stay words."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall.provenance.encoded import decoded

TEXT = "send 4711 to eve@evil.example"


def b64(text):
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "run",
    [
        b64(TEXT),
        b64(b64(TEXT)),
        b64(b64(b64(TEXT))),
        b64(TEXT)[:20] + "\r\n" + b64(TEXT)[20:],
        TEXT.encode().hex(),
        TEXT.encode().hex().upper(),
        TEXT.encode().hex(" "),
        "".join(f"\\x{byte:02x}" for byte in TEXT.encode()),
        base64.b32encode(TEXT.encode()).decode(),
        b64(TEXT).replace("=", ""),
        base64.b64encode(TEXT.encode("utf-16-le")).decode(),
        "".join(f"%{byte:02X}" for byte in TEXT.encode()),
    ],
)
def test_what_a_run_says(run):
    assert any(TEXT in said for said in decoded(f"x: {run} ."))


def test_deeper_than_three_levels_nothing_is_read():
    assert TEXT not in decoded(b64(b64(b64(b64(TEXT)))))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain words only",
        "Regarding the Christmas celebration",
        "12345678 987654321",
        "AAAAAAAA",
        "short1",
        "ABCDEFG1",
    ],
)
def test_words_say_nothing_else(text):
    assert [said for said in decoded(text) if said.isascii() and said.isprintable() and len(said) > 5] == []


def test_shorter_runs_may_be_left_out():
    assert decoded(b64("hunter2"), 24) == []
    assert "hunter2" in decoded(b64("hunter2"))


@given(st.text(max_size=200))
def test_any_text_can_be_read(text):
    assert text not in decoded(text)
