"""The policy file as its user writes it: one class per block, strict, nothing unknown."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from blastwall.policy.addresses import recipient
from blastwall.policy.blocks import NAME, Block, Count, Host, Maybe, Name, NonEmpty, Positive, Seconds
from blastwall.policy.cel import compiled
from blastwall.policy.containment import CredentialBlock, NetworkBlock, SandboxBlock
from blastwall.policy.scopes import (
    Effects,
    ExamplesBlock,
    FlowBlock,
    Outputs,
    Pins,
    RateBlock,
    Records,
    RuleBudgetBlock,
    SessionBlock,
    glob,
    message_glob,
    re2_pattern,
)
from blastwall.policy.servers import ProxyBlock, ServerBlock
from blastwall.screening.settings import FAMILIES, FIXED
from blastwall.values import Action, Confidentiality, Integrity


def _scalar(value: Any) -> Any:
    if not isinstance(value, str | int | float | bool | None):
        raise ValueError("must be text, a number, true, false or null")
    return value


def _version(value: Any) -> Any:
    if isinstance(value, bool | float):
        raise ValueError("must be 1")
    return value


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


def _expression(text: str) -> str:
    compiled(text)
    return text


_Globs = Annotated[list[Annotated[NonEmpty, AfterValidator(glob)]], Field(min_length=1)]


_Messages = Annotated[list[Annotated[NonEmpty, AfterValidator(message_glob)]], Field(min_length=1)]


class Constraint(Block):
    """What must hold of one argument. All of it must; of every member, where the argument is a list."""

    enum: Maybe[Annotated[list[Annotated[Any, AfterValidator(_scalar)]], Field(min_length=1)]] = None
    pattern: Maybe[Annotated[str, AfterValidator(re2_pattern)]] = None
    minimum: Maybe[float] = None
    maximum: Maybe[float] = None
    max_length: Maybe[Count] = None
    under: Maybe[Annotated[list[NonEmpty], Field(min_length=1)]] = None
    hosts: Maybe[Annotated[list[Host], Field(min_length=1)]] = None
    recipients: Maybe[Annotated[list[Annotated[str, AfterValidator(recipient)]], Field(min_length=1)]] = None
    max_items: Maybe[Count] = None
    optional: bool = False

    @model_validator(mode="after")
    def _satisfiable(self) -> Self:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError("no number is at least `minimum` and at most `maximum`: swap them")
        return self


class Hints(Block):
    """MCP's tool annotations, by their own names."""

    read_only: Maybe[bool] = Field(None, alias="readOnlyHint")
    destructive: Maybe[bool] = Field(None, alias="destructiveHint")
    idempotent: Maybe[bool] = Field(None, alias="idempotentHint")
    open_world: Maybe[bool] = Field(None, alias="openWorldHint")


class When(Block):
    """Which calls a rule speaks of, beside the names of their tools."""

    annotations: Maybe[Hints] = None
    cel: Maybe[Annotated[NonEmpty, AfterValidator(_expression)]] = None


class RuleBlock(Block):
    """One rule."""

    id: Name
    effect: Literal["allow", "ask", "deny"]
    tools: Maybe[_Globs] = None
    messages: Maybe[_Messages] = None
    when: Maybe[When] = None
    args: dict[NonEmpty, Constraint] = {}
    flow: Maybe[FlowBlock] = None
    rate: Maybe[RateBlock] = None
    budget: Maybe[RuleBudgetBlock] = None
    sandbox: Maybe[str] = None
    otherwise: Maybe[Literal["ask", "deny"]] = None
    instead: str = ""
    examples: ExamplesBlock = ExamplesBlock()


class Match(Block):
    """Which tools of an agent belong to a connector without being told."""

    tools: _Globs


class ScreeningBlock(Block):
    """How outputs are screened."""

    max_bytes: Maybe[Positive] = None
    actions: Annotated[
        dict[Annotated[str, AfterValidator(_family)], Literal["pass", "mark", "redact", "quarantine"]],
        AfterValidator(_showable),
    ] = {}


class ConnectorBlock(Block):
    """One source of tools."""

    template: Maybe[str] = None
    with_: dict[str, Any] = Field({}, alias="with")
    match: Maybe[Match] = None
    pin: Pins = {}
    trust_annotations: bool = False
    directory: Maybe[NonEmpty] = None
    server: Maybe[ServerBlock] = None
    credentials: list[Name] = []
    egress: list[NetworkBlock] = []
    screening: Maybe[ScreeningBlock] = None
    effects: Effects = {}
    outputs: Outputs = {}
    rules: list[RuleBlock] = []


class ApprovalBlock(Block):
    """Who answers `ask` rules: a person, or (`auto`) the classifier."""

    mode: Literal["ask", "auto"] = "ask"
    timeout_s: Seconds = 120.0


class LabelBlock(Block):
    """The label of outputs that nothing else labels."""

    integrity: Literal["external", "internal"] = "external"
    confidentiality: Literal["public", "private", "secret"] = "private"

    @property
    def levels(self) -> tuple[Integrity, Confidentiality]:
        """The same as values."""
        return Integrity[self.integrity.upper()], Confidentiality[self.confidentiality.upper()]


class StateBlock(Block):
    """Where the audit log and the quarantine are."""

    directory: Maybe[NonEmpty] = None
    durability: Literal["process-crash", "power-loss"] = "process-crash"
    arguments: Literal["full", "digest"] = "full"


class Defaults(Block):
    """What holds for every connector."""

    enforcement: Literal["enforcing", "permissive"] = "enforcing"
    unknown_tool: Literal["deny", "ask"] = "deny"
    approval: ApprovalBlock = ApprovalBlock()
    screening: ScreeningBlock = ScreeningBlock()
    label: LabelBlock = LabelBlock()
    state: StateBlock = StateBlock()


ConnectorName = Annotated[str, StringConstraints(pattern=rf"{NAME}|^\*$", max_length=32)]
"""A name, or `*` for all the connectors that have none of their own."""


class Document(Block):
    """A whole policy file."""

    version: Annotated[Literal[1], BeforeValidator(_version)]
    defaults: Defaults = Defaults()
    session: SessionBlock = SessionBlock()
    trusted_records: Records = {}
    connectors: Annotated[dict[ConnectorName, ConnectorBlock], Field(min_length=1)]
    credentials: dict[Name, CredentialBlock] = {}
    sandboxes: dict[Name, SandboxBlock] = {}
    proxy: ProxyBlock = ProxyBlock()


def actions(block: ScreeningBlock) -> dict[str, Action]:
    """Give a screening block's actions as values."""
    return {family: Action[action.upper()] for family, action in block.actions.items()}
