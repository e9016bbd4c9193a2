"""The policy file as its user writes it: one class per block, strict, nothing unknown."""

from typing import Annotated, Any, Literal, Self, TypeVar

import re2
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from blastwall.policy.addresses import HostPattern, recipient
from blastwall.screening.settings import FAMILIES, FIXED
from blastwall.values import Action, Confidentiality, Integrity


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


T = TypeVar("T")


def _given(value: Any) -> Any:
    if value is None:
        raise ValueError(NO_VALUE)
    return value


NO_VALUE = "there is no value here: write one, or take it out"

_Maybe = Annotated[T | None, BeforeValidator(_given)]
"""A key that may be left out. `under:` with nothing behind it is a mistake: it would demand nothing."""


def _pattern(text: str) -> str:
    try:
        re2.compile(text, _QUIET)
    except re2.error as error:
        raise ValueError(f"no RE2 pattern: {error.args[0].decode()}") from None
    return text


def _scalar(value: Any) -> Any:
    if not isinstance(value, str | int | float | bool | None):
        raise ValueError("must be text, a number, true, false or null")
    return value


def _version(value: Any) -> Any:
    if isinstance(value, bool | float):
        raise ValueError("must be 1")
    return value


def _glob(text: str) -> str:
    if re2.search(r"[\[\]{}()|^$\\!]", text):
        raise ValueError("in a tool's name only `*` and `?` are special: write one entry for each name")
    return text


def _host(text: str) -> str:
    HostPattern.parse(text)
    return text


def _family(name: str) -> str:
    known = sorted(family.name for family in FAMILIES)
    if name not in known:
        raise ValueError(f"no such family of markers: {name!r} (there are {', '.join(known)})")
    return name


def _showable(chosen: dict[str, str]) -> dict[str, str]:
    """Refuse what `Screening` refuses, where the policy says it."""
    for family in FIXED:
        if chosen.get(family, "quarantine") != "quarantine":
            raise ValueError(f"the family {family!r} can only be quarantined: take it out")
    return chosen


_QUIET = re2.Options()
_QUIET.log_errors = False

_NonEmpty = Annotated[str, Field(min_length=1)]
_Globs = Annotated[list[Annotated[_NonEmpty, AfterValidator(_glob)]], Field(min_length=1)]
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9](?:_?[A-Za-z0-9.-])*$", max_length=32)]
_Seconds = Annotated[float, Field(gt=0, le=86400)]
_Count = Annotated[int, Field(ge=0)]
_Positive = Annotated[int, Field(gt=0)]


class Constraint(_Block):
    """What must hold of one argument. All of it must; of every member, where the argument is a list."""

    enum: _Maybe[Annotated[list[Annotated[Any, AfterValidator(_scalar)]], Field(min_length=1)]] = None
    pattern: _Maybe[Annotated[str, AfterValidator(_pattern)]] = None
    minimum: _Maybe[float] = None
    maximum: _Maybe[float] = None
    max_length: _Maybe[_Count] = None
    under: _Maybe[Annotated[list[_NonEmpty], Field(min_length=1)]] = None
    hosts: _Maybe[Annotated[list[Annotated[str, AfterValidator(_host)]], Field(min_length=1)]] = None
    recipients: _Maybe[Annotated[list[Annotated[str, AfterValidator(recipient)]], Field(min_length=1)]] = None
    max_items: _Maybe[_Count] = None
    optional: bool = False

    @model_validator(mode="after")
    def _satisfiable(self) -> Self:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError("no number is at least `minimum` and at most `maximum`: swap them")
        return self


class Hints(_Block):
    """MCP's tool annotations, by their own names."""

    read_only: _Maybe[bool] = Field(None, alias="readOnlyHint")
    destructive: _Maybe[bool] = Field(None, alias="destructiveHint")
    idempotent: _Maybe[bool] = Field(None, alias="idempotentHint")
    open_world: _Maybe[bool] = Field(None, alias="openWorldHint")


class When(_Block):
    """Which tools a rule speaks of, beside their names."""

    annotations: Hints


class RuleBlock(_Block):
    """One rule."""

    id: _Name
    effect: Literal["allow", "ask", "deny"]
    tools: _Globs
    when: _Maybe[When] = None
    args: dict[_NonEmpty, Constraint] = {}
    sandbox: _Maybe[str] = None
    otherwise: _Maybe[Literal["ask", "deny"]] = None
    instead: str = ""


class Match(_Block):
    """Which tools of an agent belong to a connector without being told."""

    tools: _Globs


class ServerBlock(_Block):
    """How to start a stdio MCP server; `command`, `args` and `env` as in every client's `mcpServers`."""

    command: _NonEmpty
    args: list[str] = []
    env: dict[str, str] = {}
    sandbox: _Maybe[str] = None
    start_s: _Seconds = 30.0
    call_s: _Seconds = 120.0


class ScreeningBlock(_Block):
    """How outputs are screened."""

    max_bytes: _Maybe[_Positive] = None
    actions: Annotated[
        dict[Annotated[str, AfterValidator(_family)], Literal["pass", "mark", "redact", "quarantine"]],
        AfterValidator(_showable),
    ] = {}


class ConnectorBlock(_Block):
    """One source of tools."""

    match: _Maybe[Match] = None
    trust_annotations: bool = False
    directory: _Maybe[_NonEmpty] = None
    server: _Maybe[ServerBlock] = None
    screening: _Maybe[ScreeningBlock] = None
    rules: list[RuleBlock] = []


class SandboxBlock(_Block):
    """One profile."""

    strength: Literal["os", "container", "vm"] = "os"
    workspace: _Maybe[_NonEmpty] = None
    read: list[_NonEmpty] = []
    mask: list[_NonEmpty] = []
    env: dict[str, str] = {}
    timeout_s: _Seconds = 300.0
    memory_mb: _Positive = 1024
    processes: _Positive = 256
    open_files: _Positive = 256
    file_mb: _Positive = 256
    scratch_mb: _Positive = 256
    output_kb: _Positive = 1024


class ApprovalBlock(_Block):
    """Who answers `ask` rules: a person, or (`auto`) the classifier."""

    mode: Literal["ask", "auto"] = "ask"
    timeout_s: _Seconds = 120.0


class LabelBlock(_Block):
    """The label of outputs."""

    integrity: Literal["external", "internal", "typed", "prompt"] = "external"
    confidentiality: Literal["public", "private", "secret"] = "private"

    @property
    def levels(self) -> tuple[Integrity, Confidentiality]:
        """The same as values."""
        return Integrity[self.integrity.upper()], Confidentiality[self.confidentiality.upper()]


class StateBlock(_Block):
    """Where the audit log and the quarantine are."""

    directory: _Maybe[_NonEmpty] = None
    durability: Literal["process-crash", "power-loss"] = "process-crash"
    arguments: Literal["full", "digest"] = "full"


class Defaults(_Block):
    """What holds for every connector."""

    approval: ApprovalBlock = ApprovalBlock()
    screening: ScreeningBlock = ScreeningBlock()
    label: LabelBlock = LabelBlock()
    state: StateBlock = StateBlock()


class Document(_Block):
    """A whole policy file."""

    version: Annotated[Literal[1], BeforeValidator(_version)]
    defaults: Defaults = Defaults()
    connectors: Annotated[dict[_Name, ConnectorBlock], Field(min_length=1)]
    sandboxes: dict[_Name, SandboxBlock] = {}


def actions(block: ScreeningBlock) -> dict[str, Action]:
    """Give a screening block's actions as values."""
    return {family: Action[action.upper()] for family, action in block.actions.items()}
