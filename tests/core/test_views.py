"""The JSON view: everything that a tool gives is seen, or nothing is shown."""

import collections
import dataclasses
import datetime
import decimal
import enum
import io
import pathlib
import uuid

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall.frozen import NotJson, freeze, thaw
from blastwall.views import view


@dataclasses.dataclass
class Row:
    name: str
    data: object = None


class Model(pydantic.BaseModel):
    inner: object = pydantic.Field(None, alias="outer")


class Colour(enum.Enum):
    RED = "red"


class Kind(enum.StrEnum):
    A = "a"


Pair = collections.namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("text", "text"),
        ({"a": [1, 2.5, True]}, {"a": [1, 2.5, True]}),
        ((1, 2), [1, 2]),
        (Pair(1, 2), [1, 2]),
        (Row("x", [1]), {"name": "x", "data": [1]}),
        ([Row("x", Row("y"))], [{"name": "x", "data": {"name": "y", "data": None}}]),
        (Model(outer=Row("x")), {"outer": {"name": "x", "data": None}}),
        (datetime.date(2026, 1, 31), "2026-01-31"),
        (datetime.timedelta(seconds=90), "PT1M30S"),
        (decimal.Decimal("1.50"), "1.50"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (pathlib.Path("/srv/x"), "/srv/x"),
        (Colour.RED, "red"),
        (Kind.A, "a"),
        ({1}, [1]),
        (frozenset(["a"]), ["a"]),
        (collections.deque([1]), [1]),
        (collections.OrderedDict(a=1), {"a": 1}),
        (b"text", "text"),
        (bytearray(b"text"), "text"),
        (memoryview(b"text"), "text"),
        ("ü".encode(), "ü"),
        (b"\xff\xfe", "//4="),
        ({"a": b"plain words", "b": b"\xff"}, {"a": "plain words", "b": "/w=="}),
        (Row("x", b"\xff"), {"name": "x", "data": "_w=="}),
        (Model(outer=[b"\xff", b"words"]), {"outer": ["/w==", "words"]}),
        ({1: "a", None: "b", 2.5: "c"}, {"1": "a", "null": "b", "2.5": "c"}),
        ({(1, 2): "a"}, {"[1,2]": "a"}),
        ({Kind.A: 1, b"k": 2, datetime.date(2026, 1, 1): 3}, {"a": 1, "k": 2, "2026-01-01": 3}),
        (float("nan"), "nan"),
        ([float("inf"), -float("inf")], ["inf", "-inf"]),
        (2**64, "18446744073709551616"),
        ("file-\udcff", "file-\\udcff"),
        ({"\udcff": 1}, {"\\udcff": 1}),
    ],
)
def test_values_take_their_json_form(value, expected):
    assert thaw(view(value)) == expected


@pytest.mark.parametrize(
    "value",
    [
        object(),
        Row("x", object()),
        [1, {"a": lambda: None}],
        ValueError("x"),
        iter([1]),
        (i for i in [1]),
        map(str, [1]),
        io.StringIO("x"),
        [io.BytesIO(b"x")],
        [10**5000],
        type,
        ...,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_can_not_be_seen_is_no_json(value):
    with pytest.raises(NotJson):
        view(value)


def test_what_can_be_read_once_is_left_for_its_owner():
    once = iter(["canary"])
    with pytest.raises(
        NotJson, match=r"\$\[0\]: what can be read only once can't be screened: return a list"
    ):
        view([once])
    assert list(once) == ["canary"]


def test_keys_that_read_alike_are_refused():
    """A YAML file has `1: evil` and `"1": fine`: screening must not see only one of them."""
    with pytest.raises(NotJson, match="two keys read alike"):
        view({1: "evil", "1": "fine"})


def test_an_alias_bomb_is_refused_while_it_is_small():
    bomb = [datetime.date(2026, 1, 1)]
    for _ in range(20):
        bomb = [bomb] * 10
    with pytest.raises(NotJson, match="larger than"):
        view(bomb)


def test_loops_are_refused():
    row = Row("x")
    row.data = row
    loop = {}
    loop["self"] = loop
    for value in (row, loop, Row("x", [row])):
        with pytest.raises(NotJson):
            view(value)


def test_the_view_is_frozen():
    inner = [1]
    seen = view({"a": inner})
    inner.append(2)
    assert seen == {"a": (1,)}


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(plain)
def test_plain_json_stays_as_it_is(value):
    assert view(value) == freeze(value)


@given(
    st.recursive(
        plain | st.binary() | st.floats() | st.integers(),
        lambda i: st.lists(i) | st.dictionaries(st.integers(), i),
    )
)
def test_the_view_of_a_view_is_itself(value):
    assert view(view(value)) == view(value)
