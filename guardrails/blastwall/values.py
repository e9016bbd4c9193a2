"""The vocabulary: every thing that blastwall speaks of, frozen. No behaviour beyond reading itself out."""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from enum import Enum, IntEnum
from pathlib import Path

from blastwall.frozen import FrozenDict, Json, NotJson, canonical, digest, freeze

# --- The call ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Annotations:
    """MCP tool annotations. The defaults are MCP's, which are the worst case."""

    read_only: bool = False
    destructive: bool = True
    idempotent: bool = False
    open_world: bool = True


WORST_CASE = Annotations()


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of one tool of one connector, frozen when it entered. Make it with `ToolCall.of`."""

    connector: str
    tool: str
    arguments: FrozenDict = field(compare=False)
    canonical: str = field(repr=False)
    digest: str = field(compare=False)
    annotations: Annotations = field(default=WORST_CASE, repr=False)

    @classmethod
    def of(
        cls,
        connector: str,
        tool: str,
        arguments: Mapping[str, object],
        annotations: Annotations = WORST_CASE,
    ) -> "ToolCall":
        """Freeze a call.

        The digest is over the canonical JSON of connector, tool and arguments: what an approval, a
        classifier's judgement and an audit record bind to.

        Raises:
            NotJson: when the arguments or a name have no exact JSON form.

        """
        frozen = freeze(arguments)
        if not isinstance(frozen, FrozenDict):
            raise NotJson("$", "arguments must be an object")
        text = canonical({"arguments": frozen, "connector": freeze(connector), "tool": freeze(tool)})
        return cls(connector, tool, frozen, text, digest(text), annotations)

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


# --- What a sandbox may touch -------------------------------------------------------------------------


class Strength(Enum):
    """How hard the wall is: shared kernel, gVisor's kernel, the guest's own kernel."""

    OS = "os"
    CONTAINER = "container"
    VM = "vm"


class Lifetime(Enum):
    """How long one container or virtual machine serves before it is destroyed with everything in it."""

    CALL = "call"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class Destination:
    """One place that a sandbox may reach through the egress gate.

    Attributes:
        host: `api.example.com`, or `*.example.com` for subdomains only.
        ports: The ports that may be reached there.
        methods: HTTP methods that may be used; empty for all of them.
        paths: Globs of URL paths that may be asked for; empty for all of them.
        upload_kb: Most that a session may send there, in KiB: an allowed host is a way out too.
        download_kb: Most that a session may receive from there, in KiB.
        addresses: The only addresses that it may have, instead of asking a resolver: without them, nothing
            private or on this machine can be reached.

    """

    host: str
    _: KW_ONLY
    ports: tuple[int, ...] = (443,)
    methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    upload_kb: int = 1024
    download_kb: int = 1024 * 1024
    addresses: tuple[str, ...] = ()


class Source(Enum):
    """Where a real credential is kept, always outside of every sandbox."""

    KEYRING = "keyring"
    ENV = "env"
    FILE = "file"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret that stays outside; inside, a placeholder stands for it.

    Attributes:
        name: How profiles call it.
        source: What kind of place it is kept in.
        locator: Where there: `service, user` of a keyring, a variable, a path, or a command's words.
        hosts: The only hosts towards which the placeholder becomes the real value.
        variable: The environment variable that holds the placeholder inside; empty for none.

    """

    name: str
    source: Source
    locator: tuple[str, ...]
    hosts: tuple[str, ...]
    variable: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a sandbox may touch; nothing else is reachable. Frozen: nothing can widen a running sandbox.

    Attributes:
        name: How the policy calls it.
        strength: Which kind of wall. There is never a fallback to a weaker one.
        lifetime: Whether a container or machine serves one call or one session. `os` is always per call.
        workspace: The one host folder that may be written, or None for a private, empty one.
        copy: Whether a copy of the workspace is written instead, to be reviewed as a diff.
        directory: Where commands start, relative to the workspace.
        read: Host paths readable inside, beside the system's own programs and libraries.
        mask: Host paths that read as empty even below a readable one.
        protect: More names of the workspace that can't be written or made, beside the built-in ones
            (`.git/hooks`, shell start-up files, editor and agent configuration, `.env`).
        network: The only places that can be reached; none by default.
        credentials: Names of the credentials whose placeholders exist inside.
        env: The whole environment inside, besides PATH, HOME, LANG and TMPDIR.
        warm: How many workers for Python tools, or machines, are kept ready.
        preload: Modules that a ready worker has imported already.
        timeout_s: Wall-clock limit in seconds; the seed's own pattern uses 300.
        cpu_s: Processor time of each process in seconds; None for the wall-clock limit.
        memory_mb: Memory of everything inside together where cgroups are there to count it, and writable
            private memory of each process in any case, in MiB.
        processes: Processes and threads inside, together.
        open_files: Open descriptors of each process.
        file_mb: Largest file that may be written, in MiB.
        disk_mb: By how much the workspace may grow before everything inside is killed, in MiB.
        scratch_mb: Size of each private tmpfs, in MiB.
        output_kb: Most of stdout and of stderr that is kept, in KiB; the rest is discarded.

    """

    name: str
    _: KW_ONLY
    strength: Strength = Strength.OS
    lifetime: Lifetime = Lifetime.CALL
    workspace: Path | None = None
    copy: bool = False
    directory: str = "."
    read: tuple[Path, ...] = ()
    mask: tuple[Path, ...] = ()
    protect: tuple[str, ...] = ()
    network: tuple[Destination, ...] = ()
    credentials: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    warm: int = 0
    preload: tuple[str, ...] = ()
    timeout_s: float = 300.0
    cpu_s: float | None = None
    memory_mb: int = 1024
    processes: int = 256
    open_files: int = 256
    file_mb: int = 256
    disk_mb: int = 1024
    scratch_mb: int = 256
    output_kb: int = 1024


@dataclass(frozen=True, slots=True)
class Server:
    """How to start the stdio MCP server behind a connector.

    Attributes:
        command: The program, then its arguments.
        env: What is added to its environment, which is otherwise nearly empty.
        directory: Its working directory, against which relative paths of its arguments are resolved.
        profile: The sandbox it runs in, or None to run it as an ordinary process.
        start_s: Seconds that it may take to answer the handshake.
        call_s: Seconds that one call may take.

    """

    command: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    directory: Path | None = None
    profile: Profile | None = None
    start_s: float = 30.0
    call_s: float = 120.0


# --- Verdicts: what the policy says -------------------------------------------------------------------


class Reason(Enum):
    """Every way in which a call does not run. Silence is among them."""

    RULE = "rule"
    NO_RULE = "no-rule"
    CONSTRAINT = "constraint"
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
class Allow:
    """Run it where it is."""

    rule: str


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Run it, inside this profile only."""

    rule: str
    profile: Profile


@dataclass(frozen=True, slots=True)
class Deny:
    """Don't run it."""

    denied: Denied


@dataclass(frozen=True, slots=True)
class Ask:
    """A person decides; a yes means `then`."""

    rule: str
    question: str
    then: Allow | Sandbox
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Classify:
    """The auto-mode classifier decides; a yes means `then`."""

    rule: str
    question: str
    then: Allow | Sandbox
    timeout_s: float


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

    """

    value: Json
    is_error: bool = False
    raw: object = field(default=None, compare=False, repr=False)
    check: OutputCheck | None = field(default=None, compare=False, repr=False)


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
