"""The blocks of a policy file that say with which data, on whose word and how often a call may run."""

from typing import Annotated, Any, Literal, Self

import re2
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from blastwall.policy.blocks import Block, Count, Maybe, Name, NonEmpty, Positive
from blastwall.policy.meant import near
from blastwall.policy.messages import EFFECTS, MESSAGE, is_message
from blastwall.policy.rules import covered
from blastwall.provenance import FORMATS

QUIET = re2.Options()
QUIET.log_errors = False


def re2_pattern(text: str) -> str:
    """Let a pattern pass that RE2 can compile."""
    try:
        re2.compile(text, QUIET)
    except re2.error as error:
        raise ValueError(f"no RE2 pattern: {error.args[0].decode()}") from None
    return text


def glob(text: str) -> str:
    """Let a tool glob pass."""
    if is_message(text):
        raise ValueError("no tool's name begins with `mcp:`: messages stand under `messages`, without it")
    return _plain(text)


def message_glob(text: str) -> str:
    """Let a glob of messages pass that covers one."""
    if is_message(text):
        raise ValueError(f"under `messages`, write it without `mcp:`: {text.removeprefix(MESSAGE)}")
    if not any(covered(known, (_plain(text, "message"),)) for known in EFFECTS):
        raise ValueError(f"{text!r} covers no message that can be permitted (there are {', '.join(EFFECTS)})")
    return text


def reach(text: str) -> str:
    """Let a glob of tools pass, or, with `mcp:` before it, one of messages."""
    if not is_message(text):
        return _plain(text)
    return MESSAGE + message_glob(text.removeprefix(MESSAGE))


def _plain(text: str, what: str = "tool") -> str:
    if re2.search(r"[\[\]{}()|^$\\!]", text):
        raise ValueError(f"in a {what}'s name only `*` and `?` are special: write one entry for each name")
    return text


def _globs(text: str) -> str:
    for part in text.split("|"):
        if not part:
            raise ValueError("an empty name stands beside a `|`: take the `|` out")
        reach(part)
    return text


def _message(text: str) -> str:
    if text not in EFFECTS:
        raise ValueError(f"no message {text!r}{near(text, EFFECTS)}")
    return text


def _word(text: str) -> str:
    if text != text.lower() or not all(part.isalpha() for part in text.split(" ")):
        raise ValueError(
            f"{text!r} is no word in small letters, such as `send` or `set up`: one entry for each"
        )
    return text


def _fingerprint(text: str) -> str:
    if not re2.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError(
            "a fingerprint is 64 hexadecimal digits in small letters: the refusal of the tool tells the one"
            " it has"
        )
    return text


def _tool(text: str) -> str:
    if is_message(text):
        raise ValueError("messages have no definition that could be pinned: take it out")
    return text


FIRST_USE = "first-use"
"""What stands under `pin` where all that a server says of itself is pinned as it is first seen."""


def _pins(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    if value == FIRST_USE:
        return {FIRST_USE: ""}
    if isinstance(value, str):
        raise ValueError(f"write `{FIRST_USE}`, or a fingerprint for each tool, not {value!r}")
    return handler(value)


def _steps(text: str) -> str:
    for step in text.split("."):
        if not all(step.split("|")) or ("**" in step and step != "**"):
            raise ValueError(f"{text!r} is no path of fields: write `a.b`, `a.*.b`, `**.b` or `a.b|c`")
    return text


def _source(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


def _short(value: Any) -> Any:
    """Take `external`, `internal` or a format's name for a whole block."""
    if not isinstance(value, str):
        return value
    if value in ("external", "internal"):
        return {"integrity": value}
    if value not in FORMATS:
        known = ", ".join(("external", "internal", *FORMATS))
        raise ValueError(f"{value!r} is neither an integrity nor a format (there are {known})")
    return {"format": value}


def _format(name: str) -> str:
    if name not in FORMATS:
        raise ValueError(f"no format {name!r} (there are {', '.join(FORMATS)})")
    return name


Globs = Annotated[str, Field(min_length=1), AfterValidator(_globs)]
Word = Annotated[str, AfterValidator(_word)]
Source = Annotated[str, AfterValidator(_source)]
Window = Annotated[float, Field(gt=0, le=366 * 86400)]
Confidential = Literal["public", "private", "secret"]


class FieldBlock(Block):
    """The label of one field of an output. A format makes it typed, where the value passes it."""

    integrity: Maybe[Literal["external", "internal"]] = None
    format: Maybe[Annotated[str, AfterValidator(_format)]] = None
    pattern: Maybe[Annotated[str, AfterValidator(re2_pattern)]] = None
    confidentiality: Maybe[Confidential] = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [key for key in (self.integrity, self.format, self.pattern) if key is not None]
        if len(given) > 1:
            raise ValueError("write one of integrity, format and pattern: a format makes the field typed")
        if not given and self.confidentiality is None:
            raise ValueError("this says nothing: write integrity, format, pattern or confidentiality")
        return self


class OutputBlock(Block):
    """The labels of a tool's outputs."""

    integrity: Maybe[Literal["external", "internal"]] = None
    confidentiality: Maybe[Confidential] = None
    fields: dict[
        Annotated[str, Field(min_length=1), AfterValidator(_steps)],
        Annotated[FieldBlock, BeforeValidator(_short)],
    ] = {}


class ContentBlock(Block):
    """How far content may flow: everything in the arguments. `args` names those that are content only."""

    args: list[NonEmpty] = []
    max_confidentiality: Maybe[Confidential] = None
    links: Literal["traced", "none", "any"] = "any"

    @model_validator(mode="after")
    def _demanding(self) -> Self:
        if self.max_confidentiality in (None, "secret") and self.links == "any" and not self.args:
            raise ValueError("this demands nothing: write max_confidentiality or links, or take it out")
        return self


class BoundedBlock(Block):
    """How much of a number all the calls together may come to."""

    max_sum: Annotated[float, Field(gt=0)]
    per_s: Maybe[Window] = None


class IntentBlock(Block):
    """What the user's own words must ask for."""

    verbs: Annotated[list[Word], Field(min_length=1)]
    objects: list[Word] = []
    count: bool = False


class FlowBlock(Block):
    """Which data may steer the call, which may leave with it, and on whose word."""

    control: dict[NonEmpty, Annotated[list[Source], Field(min_length=1)]] = {}
    content: Maybe[ContentBlock] = None
    bounded: dict[NonEmpty, BoundedBlock] = {}
    intent: Maybe[IntentBlock] = None

    @model_validator(mode="after")
    def _demanding(self) -> Self:
        if not (self.control or self.content or self.bounded or self.intent):
            raise ValueError("this demands nothing: write control, content, bounded or intent")
        return self


class RateBlock(Block):
    """How many calls a rule lets through in a time."""

    max: Positive
    per_s: Window


class RuleBudgetBlock(Block):
    """How many calls a rule lets through in one session."""

    session: Count


class ExampleBlock(Block):
    """One call that a rule speaks for, or leaves alone."""

    tool: Maybe[NonEmpty] = None
    message: Maybe[Annotated[str, AfterValidator(_message)]] = None
    args: dict[str, Any] = {}
    origin: dict[NonEmpty, Source] = Field({}, alias="from")
    prompt: Maybe[NonEmpty] = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.tool is None) is (self.message is None):
            raise ValueError("an example is of one `tool`, or of one `message`")
        return self

    @property
    def name(self) -> str:
        """What is called, as a call names it."""
        return self.tool or f"{MESSAGE}{self.message}"


class ExamplesBlock(Block):
    """What a rule must and must not speak for; checked whenever the policy is read."""

    match: list[ExampleBlock] = []
    no_match: list[ExampleBlock] = []


class BudgetBlock(Block):
    """How much one session may do, whatever the rules allow."""

    calls: Maybe[Count] = None
    writes: Maybe[Count] = None
    destructive: Maybe[Count] = None
    asks: Maybe[Count] = None


class SessionBlock(Block):
    """What holds for all the calls of one session together."""

    rule_of_two: Maybe[Literal["ask", "deny"]] = None
    intent: Maybe[Literal["ask", "deny"]] = None
    budget: BudgetBlock = BudgetBlock()


Effect = Literal[
    "read",
    "write",
    "delete",
    "execute",
    "network-read",
    "network-send",
    "spend",
    "credential",
    "persist",
    "escalate",
]
"""The values of `Does`."""

Effects = dict[Globs, list[Effect]]
Outputs = dict[Globs, OutputBlock]
Records = dict[Name, list[NonEmpty]]
Pins = Annotated[
    dict[Annotated[NonEmpty, AfterValidator(_tool)], Annotated[str, AfterValidator(_fingerprint)]],
    WrapValidator(_pins),
]
"""Fingerprints by tool, or the word for taking them at first use."""
