"""The vocabulary: every thing that blastwall speaks of, frozen. No behaviour beyond reading itself out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum, StrEnum

from blastwall.frozen import FrozenDict, Json, NotJson, canonical, digest, freeze
from blastwall.profiles import Auth as Auth
from blastwall.profiles import Credential as Credential
from blastwall.profiles import Destination as Destination
from blastwall.profiles import Front as Front
from blastwall.profiles import Http as Http
from blastwall.profiles import Lifetime as Lifetime
from blastwall.profiles import OAuth as OAuth
from blastwall.profiles import Profile as Profile
from blastwall.profiles import Server as Server
from blastwall.profiles import Source as Source
from blastwall.profiles import Strength as Strength

# --- The call ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Annotations:
    """MCP tool annotations. The defaults are MCP's, which are the worst case.

    Attributes:
        read_only: The tool changes nothing.
        destructive: It may destroy something, not only add.
        idempotent: Doing it twice changes no more than doing it once.
        open_world: It deals with an open world, such as the web.
        stated: The hints that the server gave itself, by MCP's names.

    """

    read_only: bool = False
    destructive: bool = True
    idempotent: bool = False
    open_world: bool = True
    stated: frozenset[str] = field(default=frozenset(), compare=False)


WORST_CASE = Annotations()


class Does(StrEnum):
    """What an action does to the world."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    EXECUTE = "execute"
    NETWORK_READ = "network-read"
    NETWORK_SEND = "network-send"
    SPEND = "spend"
    CREDENTIAL = "credential"
    PERSIST = "persist"
    ESCALATE = "escalate"


LOOKS = frozenset({Does.READ, Does.NETWORK_READ})
"""What changes nothing. A network read may still carry something out in its address."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of one tool of one connector, frozen when it entered. Make it with `ToolCall.of`."""

    connector: str
    tool: str
    arguments: FrozenDict = field(compare=False)
    canonical: str = field(repr=False)
    digest: str = field(compare=False)
    annotations: Annotations = field(default=WORST_CASE, repr=False)
    fingerprint: str = field(default="", compare=False, repr=False)

    @classmethod
    def of(
        cls,
        connector: str,
        tool: str,
        arguments: Mapping[str, object],
        annotations: Annotations = WORST_CASE,
        fingerprint: str = "",
    ) -> "ToolCall":
        """Freeze a call.

        The digest is over the canonical JSON of connector, tool and arguments: what an approval, a
        classifier's judgement and an audit record bind to. The fingerprint is that of the tool's
        definition, where the adapter knows one.

        Raises:
            NotJson: when the arguments or a name have no exact JSON form.

        """
        frozen = freeze(arguments)
        if not isinstance(frozen, FrozenDict):
            raise NotJson("$", "arguments must be an object")
        text = canonical({"arguments": frozen, "connector": freeze(connector), "tool": freeze(tool)})
        return cls(connector, tool, frozen, text, digest(text), annotations, fingerprint)

    @property
    def name(self) -> str:
        """`connector.tool`, for people."""
        return f"{self.connector}.{self.tool}"


# --- Labels -----------------------------------------------------------------------------------------


class Integrity(IntEnum):
    """Who can have written a value; higher is more trusted."""

    EXTERNAL = 0
    INTERNAL = 1
    TYPED = 2
    PROMPT = 3


class Confidentiality(IntEnum):
    """Who may read a value; higher is more secret."""

    PUBLIC = 0
    PRIVATE = 1
    SECRET = 2


@dataclass(frozen=True, slots=True)
class Label:
    """Integrity and confidentiality of a value. The default is what an output nobody described gets."""

    integrity: Integrity = Integrity.EXTERNAL
    confidentiality: Confidentiality = Confidentiality.PRIVATE


# --- Verdicts: what the policy says -------------------------------------------------------------------


class Reason(Enum):
    """Every way in which a call does not run. Silence is among them."""

    RULE = "rule"
    NO_RULE = "no-rule"
    CONSTRAINT = "constraint"
    FLOW = "flow"
    INTENT = "intent"
    USED_UP = "used-up"
    CHANGED = "changed"
    AMBIGUOUS = "ambiguous"
    UNKNOWN_CONNECTOR = "unknown-connector"
    INVALID_CALL = "invalid-call"
    CHECK_FAILED = "check-failed"
    APPROVAL_REJECTED = "approval-rejected"
    APPROVAL_UNAVAILABLE = "approval-unavailable"
    CLASSIFIER_REJECTED = "classifier-rejected"
    CLASSIFIER_UNAVAILABLE = "classifier-unavailable"
    SANDBOX_UNAVAILABLE = "sandbox-unavailable"
    AUDIT_UNAVAILABLE = "audit-unavailable"
    BACKEND_FAILED = "backend-failed"
    OUTPUT_REJECTED = "output-rejected"


@dataclass(frozen=True, slots=True)
class Denied:
    """Why a call did not run, or why its output was not shown: safe for the model and for a person.

    Attributes:
        reason: The kind, for machines.
        message: What was refused and why. It never quotes a tool's output.
        rule: `connector.rule` that decided, when one did.
        instead: What to do instead.

    """

    reason: Reason
    message: str
    rule: str | None = None
    instead: str = ""

    def __str__(self) -> str:
        rule = f" [rule {self.rule}]" if self.rule else ""
        instead = f" Instead: {self.instead}." if self.instead else ""
        return f"blastwall refused this ({self.reason.value}){rule}: {self.message}.{instead}"


@dataclass(frozen=True, slots=True)
class Charge:
    """Something that a call uses up.

    Attributes:
        key: What is counted: `mail.send.rate`, `session.calls`.
        limit: How much of it there is.
        amount: How much the call uses.
        per_s: The rolling window, over every session, in seconds; None counts over the session.
        ask: Whether a person may allow what goes beyond.

    """

    key: str
    limit: float
    amount: float = 1.0
    per_s: float | None = None
    ask: bool = False


@dataclass(frozen=True, slots=True)
class Allow:
    """Run it where it is, once its charges are paid. `instead_of`: what a permissive policy overlooked."""

    rule: str
    charges: tuple[Charge, ...] = ()
    instead_of: Denied | None = None


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Run it, inside this profile only, once its charges are paid. `instead_of` as for `Allow`."""

    rule: str
    profile: Profile
    charges: tuple[Charge, ...] = ()
    instead_of: Denied | None = None


@dataclass(frozen=True, slots=True)
class Deny:
    """Don't run it."""

    denied: Denied


@dataclass(frozen=True, slots=True)
class Ask:
    """A person decides; a yes means `then`. The charges are paid for asking."""

    rule: str
    question: str
    then: Allow | Sandbox
    timeout_s: float
    charges: tuple[Charge, ...] = ()


@dataclass(frozen=True, slots=True)
class Classify:
    """The auto-mode classifier decides; a yes means `then`. The charges are paid for asking."""

    rule: str
    question: str
    then: Allow | Sandbox
    timeout_s: float
    charges: tuple[Charge, ...] = ()


Verdict = Allow | Sandbox | Deny | Ask | Classify


# --- Replies of the outside ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Approved:
    """A yes to the call with this digest and to no other. `by` names who said it."""

    digest: str
    by: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """A no. `message` goes to the model."""

    message: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class Edited:
    """Other arguments instead: a new call, judged from the start."""

    arguments: Mapping[str, object]
    by: str


Answer = Approved | Rejected | Edited


OutputCheck = Callable[[Json], str | None]
"""Says how an output breaks the schema that its tool declared, or None. It may raise: that rejects too."""


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a tool gave back.

    Attributes:
        value: Its JSON view, the thing that is screened.
        is_error: Whether the tool reported a failure.
        raw: The framework's own object, delivered untouched when screening changed nothing.
        check: The tool's declared output schema, if it has one.
        roots: The keys of `value` under which the tool's own outputs stand, where an adapter has put
            something around them: what the policy says of fields begins there.

    """

    value: Json
    is_error: bool = False
    raw: object = field(default=None, compare=False, repr=False)
    check: OutputCheck | None = field(default=None, compare=False, repr=False)
    roots: tuple[str, ...] = field(default=(), compare=False, repr=False)


# --- Screening ----------------------------------------------------------------------------------------


class Action(IntEnum):
    """What screening does with a finding; the highest wins."""

    PASS = 0
    MARK = 1
    REDACT = 2
    QUARANTINE = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One marker in an output: its family, where (`$.content[0].text`, a character span) and what was done.

    It never carries the text that was found.
    """

    family: str
    path: str
    start: int
    end: int
    action: Action


@dataclass(frozen=True, slots=True)
class Screened:
    """The verdict over one output, and the value that may go on."""

    action: Action
    value: Json
    findings: tuple[Finding, ...] = ()


# --- Outcomes: how the story ended --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Delivered:
    """It ran and its output may be shown. `raw` is gone from the output when screening changed it."""

    output: ToolOutput
    label: Label
    action: Action = Action.PASS
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """It never ran."""

    denied: Denied


@dataclass(frozen=True, slots=True)
class Withheld:
    """It ran; the output is kept aside under `id` and the agent sees only why."""

    denied: Denied
    id: str
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """It may have run, and the outside failed before its output could be shown."""

    denied: Denied


Outcome = Delivered | Refused | Withheld | Failed
