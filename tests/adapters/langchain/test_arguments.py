"""The call judged is the call run: validated values in, values made from the judged JSON out."""

import dataclasses
from datetime import date
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any

import pydantic.v1
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.tools import StructuredTool, tool
from pydantic import BaseModel, BeforeValidator, Field, SecretStr

from blastwall import Approved, Edited
from blastwall_langchain import wrap_tool


class Colour(str, Enum):  # noqa: UP042  # pydantic and users write it so
    RED = "red"


class Size(IntEnum):
    BIG = 2


class Point(BaseModel):
    x: int
    at: date | None = Field(default=None, alias="when")


@dataclasses.dataclass
class Pair:
    left: int
    right: str


class Opaque:
    pass


TYPED = [
    (date, "2026-01-02", date(2026, 1, 2), "2026-01-02"),
    (Colour, "red", Colour.RED, "red"),
    (Size, 2, Size.BIG, 2),
    (Decimal, "1.50", Decimal("1.50"), "1.50"),
    (
        Point,
        {"x": "1", "when": "2026-01-02"},
        Point(x=1, when=date(2026, 1, 2)),
        {"x": 1, "when": "2026-01-02"},
    ),
    (Pair, {"left": "1", "right": "r"}, Pair(1, "r"), {"left": 1, "right": "r"}),
    (tuple[int, str], ["1", "r"], (1, "r"), [1, "r"]),
    (set[int], [3], {3}, [3]),
    (list[Point], [{"x": 1}], [Point(x=1)], [{"x": 1, "when": None}]),
    (bytes, "abc", b"abc", "abc"),
]


@pytest.mark.parametrize(
    ("kind", "given_", "value", "judged"), TYPED, ids=lambda v: getattr(v, "__name__", "")
)
async def test_typed_values_are_judged_in_json_and_run_as_they_are(
    run, guard, records, kind, given_, value, judged
):
    seen = []

    def read_it(it: Any) -> str:
        seen.append(it)
        return "ok"

    read_it.__annotations__["it"] = kind
    wrapped = wrap_tool(StructuredTool.from_function(read_it, description="Read."), guard, connector="desk")
    assert await run(wrapped, {"it": given_}) == "ok"
    assert seen == [value]
    assert type(seen[0]) is type(value)
    assert records()[0]["arguments"] == {"it": judged}


async def test_coerced_values_are_judged_and_run(run, guard, records):
    @tool
    def read_it(count: int, deep: dict[str, list[int]], name: str = "x") -> str:
        """Read."""
        return f"{count!r} {deep} {name}"

    wrapped = wrap_tool(read_it, guard, connector="desk")
    assert await run(wrapped, {"count": "1", "deep": {"a": ["2"]}, "more": 1}) == "1 {'a': [2]} x"
    assert records()[0]["arguments"] == {"count": 1, "deep": {"a": [2]}, "name": "x"}


async def test_a_validator_runs_once(run, guard):
    """Plain values are not validated again: a validator that changes what it sees would run another call."""

    @tool
    def read_it(count: Annotated[int, BeforeValidator(lambda value: int(value) * 2)]) -> int:
        """Read."""
        return count

    assert await run(wrap_tool(read_it, guard, connector="desk"), {"count": 2}) == 4


def lossy(it: SecretStr) -> str:
    """Read."""
    return it.get_secret_value()


def opaque(it: Opaque) -> str:
    """Read."""
    return str(it)


def anything(it: Any) -> str:
    """Read."""
    return str(it)


@pytest.mark.parametrize(
    ("function", "given_"),
    [
        (lossy, "s3cret"),
        (anything, Opaque()),
        (opaque, Opaque()),
        (anything, (1, 2)),
        (anything, Colour.RED),
        (anything, float("nan")),
    ],
)
async def test_what_has_no_exact_json_form_is_refused(run, guard, tool_call, function, given_):
    bare = tool(function)
    assert isinstance(await run(bare, {"it": given_}), str), "control: the tool itself takes it"
    message = await run(wrap_tool(bare, guard, connector="desk"), tool_call(bare.name, it=given_))
    assert message.status == "error"
    assert "invalid-call" in message.content
    assert "s3cret" not in message.content


async def test_a_schema_of_pydantic_1_takes_plain_values_only(run, guard, tool_call):
    class Old(pydantic.v1.BaseModel):
        name: str
        on: Any = None

    bare = StructuredTool.from_function(
        lambda name, on=None: f"{name} {on}", name="read_it", description="Read.", args_schema=Old
    )
    wrapped = wrap_tool(bare, guard, connector="desk")
    assert await run(wrapped, {"name": "a", "on": [1]}) == "a [1]"
    assert "invalid-call" in await run(wrapped, {"name": "a", "on": Colour.RED})


async def test_mutation_after_judging_changes_nothing(run, make_guard, records):
    """The caller's own objects never reach the tool. Control: to the bare tool they are handed on."""
    mine = {"to": ["ann"]}
    point = Point(x=1)

    def ask(call, verdict):
        mine["to"].append("eve")
        point.x = 666
        return Approved(call.digest, "me")

    class Kept(BaseModel):
        who: Any
        where: Point

    def write_it(who: Any, where: Point) -> str:
        return f"{who} {where.x} {who is mine} {where is point}"

    bare = StructuredTool.from_function(write_it, description="Write.", args_schema=Kept)
    wrapped = wrap_tool(bare, make_guard(ask), connector="desk")
    assert await run(wrapped, {"who": mine, "where": point}) == "{'to': ['ann']} 1 False False"
    assert mine["to"] == ["ann", "eve"]
    assert await run(bare, {"who": mine, "where": point}) == "{'to': ['ann', 'eve']} 666 True True"
    assert records()[0]["arguments"]["who"] == {"to": ["ann"]}


def write_it(name: str, on: date, count: Annotated[int, Field(le=5)] = 1) -> str:
    """Write."""
    return f"{name} {on.year} {count}"


GIVEN = {"name": "a", "on": "2026-01-02"}
FULL = {**GIVEN, "count": 1}


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        ({**FULL, "name": "b", "on": "2027-01-02"}, "b 2027 1"),
        ({**FULL, "count": 6}, "break the tool's schema"),
        ({**FULL, "count": "2"}, "would change the edited arguments"),
        (GIVEN, "nothing else"),
        ({**FULL, "more": 1}, "nothing else"),
        ({**FULL, "on": "never"}, "break the tool's schema"),
    ],
)
async def test_edited_arguments_run_exactly_as_they_were_judged(run, make_guard, edit, text):
    def ask(call, verdict):
        return Approved(call.digest, "me") if call.arguments == edit else Edited(edit, "me")

    wrapped = wrap_tool(tool(write_it), make_guard(ask), connector="desk")
    assert text in await run(wrapped, GIVEN)


async def test_edited_arguments_of_a_tool_without_a_schema_run_as_they_are(run, make_guard):
    def ask(call, verdict):
        return Approved(call.digest, "me") if "b" in call.arguments else Edited({"b": 2}, "me")

    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    bare = StructuredTool(name="write_it", description="W.", args_schema=schema, func=lambda **kw: kw)
    assert await run(wrap_tool(bare, make_guard(ask), connector="desk"), {"a": 1}) == {"b": 2}


INTEGERS = st.integers(min_value=-(2**53), max_value=2**53)
PLAIN = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_plain_json_arrives_as_it_was_sent(guard):
    seen = []

    def read_it(it: Any) -> str:
        """Read."""
        seen.append(it)
        return "ok"

    wrapped = wrap_tool(tool(read_it), guard, connector="desk")

    @settings(max_examples=60, deadline=None)
    @given(PLAIN)
    def check(value):
        seen.clear()
        assert wrapped.invoke({"it": value}) == "ok"
        assert seen == [value]
        assert repr(seen) == repr([value])

    check()
