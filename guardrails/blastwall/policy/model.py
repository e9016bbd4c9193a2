"""The policy file as its user writes it: one class per block, strict, nothing unknown."""

from typing import Annotated, Any, Literal

import re2
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from blastwall.policy.addresses import HostPattern, recipient
from blastwall.screening import FAMILIES
from blastwall.values import Action, Confidentiality, Integrity


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


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


def _host(text: str) -> str:
    HostPattern.parse(text)
    return text


def _family(name: str) -> str:
    known = sorted(family.name for family in FAMILIES)
    if name not in known:
        raise ValueError(f"no such family of markers: {name!r} (there are {', '.join(known)})")
    return name


_QUIET = re2.Options()
_QUIET.log_errors = False

_NonEmpty = Annotated[str, Field(min_length=1)]
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9](?:_?[A-Za-z0-9.-])*$", max_length=32)]
_Seconds = Annotated[float, Field(gt=0, le=86400)]
_Count = Annotated[int, Field(ge=0)]
_Positive = Annotated[int, Field(gt=0)]


class Constraint(_Block):
    """What must hold of one argument. All of it must; of every member, where the argument is a list."""

    enum: Annotated[list[Annotated[Any, AfterValidator(_scalar)]], Field(min_length=1)] | None = None
    pattern: Annotated[str, AfterValidator(_pattern)] | None = None
    minimum: float | None = None
    maximum: float | None = None
    max_length: _Count | None = None
    under: Annotated[list[_NonEmpty], Field(min_length=1)] | None = None
    hosts: Annotated[list[Annotated[str, AfterValidator(_host)]], Field(min_length=1)] | None = None
    recipients: Annotated[list[Annotated[str, AfterValidator(recipient)]], Field(min_length=1)] | None = None
    max_items: _Count | None = None
    optional: bool = False


class Hints(_Block):
    """MCP's tool annotations, by their own names."""

    read_only: bool | None = Field(None, alias="readOnlyHint")
    destructive: bool | None = Field(None, alias="destructiveHint")
    idempotent: bool | None = Field(None, alias="idempotentHint")
    open_world: bool | None = Field(None, alias="openWorldHint")


class When(_Block):
    """Which tools a rule speaks of, beside their names."""

    annotations: Hints


class RuleBlock(_Block):
    """One rule."""

    id: _Name
    effect: Literal["allow", "ask", "deny"]
    tools: Annotated[list[_NonEmpty], Field(min_length=1)]
    when: When | None = None
    args: dict[_NonEmpty, Constraint] = {}
    sandbox: str | None = None
    otherwise: Literal["ask", "deny"] | None = None
    instead: str = ""


class Match(_Block):
    """Which tools of an agent belong to a connector without being told."""

    tools: Annotated[list[_NonEmpty], Field(min_length=1)]


class ServerBlock(_Block):
    """How to start a stdio MCP server; `command`, `args` and `env` as in every client's `mcpServers`."""

    command: _NonEmpty
    args: list[str] = []
    env: dict[str, str] = {}
    sandbox: str | None = None
    start_s: _Seconds = 30.0
    call_s: _Seconds = 120.0


class ScreeningBlock(_Block):
    """How outputs are screened."""

    max_bytes: _Positive | None = None
    actions: dict[
        Annotated[str, AfterValidator(_family)], Literal["pass", "mark", "redact", "quarantine"]
    ] = {}


class ConnectorBlock(_Block):
    """One source of tools."""

    match: Match | None = None
    trust_annotations: bool = False
    directory: _NonEmpty | None = None
    server: ServerBlock | None = None
    screening: ScreeningBlock | None = None
    rules: list[RuleBlock] = []


class SandboxBlock(_Block):
    """One profile."""

    strength: Literal["os", "container", "vm"] = "os"
    workspace: _NonEmpty | None = None
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

    directory: _NonEmpty | None = None
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

    version: Literal[1]
    defaults: Defaults = Defaults()
    connectors: Annotated[dict[_Name, ConnectorBlock], Field(min_length=1)]
    sandboxes: dict[_Name, SandboxBlock] = {}


def actions(block: ScreeningBlock) -> dict[str, Action]:
    """Give a screening block's actions as values."""
    return {family: Action[action.upper()] for family, action in block.actions.items()}
