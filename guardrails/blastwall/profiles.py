"""The vocabulary of containment and connection: what a sandbox may touch, where secrets and servers are."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from enum import Enum
from pathlib import Path


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
        shown_as: The path of the workspace as seen inside; its own by default.
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
    shown_as: Path | None = None
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
class OAuth:
    """How the client flow gets tokens for a server; they are kept in the keyring.

    Attributes:
        scopes: What is asked for; empty for what the server says it needs.
        client_id: The client's id there; empty to register as a new one.

    """

    scopes: tuple[str, ...] = ()
    client_id: str = ""


@dataclass(frozen=True, slots=True)
class Server:
    """The MCP server behind a connector: how it is started, or where it is.

    Attributes:
        command: The program, then its arguments; empty where there is a URL.
        env: What is added to its environment, which is otherwise nearly empty.
        directory: Its working directory, against which relative paths of its arguments are resolved.
        profile: The sandbox it runs in, or None to run it as an ordinary process.
        start_s: Seconds that it may take to answer the handshake.
        call_s: Seconds that one call may take.
        url: Where it is, instead of a command.
        transport: `stdio`, `http` (streamable) or `sse`.
        era: The protocol's era that is spoken to it: `auto`, `modern` or `legacy`.
        headers: What is sent along with every request; never a secret.
        credential: The name of the credential that is sent as bearer token; empty for none.
        oauth: How tokens are got for it, or None.
        idle_s: Seconds without a use after which it is stopped, or its session ended.
        version: PEP 440 specifiers that the version it states must meet; empty for any.
        private: Whether its host may be a loopback or private address.
        program_readable: Whether the files that its program consists of are shown in its sandbox, beside what
            the profile says: for a profile that knows nothing of them.

    """

    command: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    directory: Path | None = None
    profile: Profile | None = None
    start_s: float = 30.0
    call_s: float = 120.0
    _: KW_ONLY
    url: str = ""
    transport: str = "stdio"
    era: str = "auto"
    headers: tuple[tuple[str, str], ...] = ()
    credential: str = ""
    oauth: OAuth | None = None
    idle_s: float = 600.0
    version: str = ""
    private: bool = False
    program_readable: bool = False


@dataclass(frozen=True, slots=True)
class Auth:
    """Whose tokens open the HTTP front, and what they open.

    Attributes:
        issuer: The authorization server, as it names itself in `iss`.
        audience: This resource, as tokens must name it in `aud`: the front's own URL.
        jwks: Where the issuer's public keys are; empty where tokens are introspected.
        introspection: Where tokens are asked about, instead.
        credential: The credential that proves us there: `client_id:client_secret`, or a bearer token.
        algorithms: The signatures that are accepted.
        required: Scopes that every token must have.
        scopes: What a scope opens: globs of tools by globs of connectors; globs of messages begin with
            `mcp:`. Empty for all that the policy permits.
        private: Whether these URLs may lead to loopback or private addresses.

    """

    issuer: str
    audience: str
    _: KW_ONLY
    jwks: str = ""
    introspection: str = ""
    credential: str = ""
    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    required: tuple[str, ...] = ()
    scopes: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    private: bool = False


@dataclass(frozen=True, slots=True)
class Http:
    """The HTTP front.

    Attributes:
        host: The address that it listens on.
        port: The port there.
        path: The path of the MCP endpoint.
        hosts: What the Host header may say, beside the address itself.
        origins: The web origins that may reach it.
        max_body_kb: Largest request, in KiB.
        max_sessions: Most sessions at once.
        session_idle_s: Seconds without a request after which a session ends.
        auth: Whose tokens open it; None for everybody who reaches it.

    """

    host: str = "127.0.0.1"
    port: int = 8765
    path: str = "/mcp"
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    max_body_kb: int = 4096
    max_sessions: int = 1000
    session_idle_s: float = 1800.0
    auth: Auth | None = None


@dataclass(frozen=True, slots=True)
class Front:
    """What clients of the proxy see.

    Attributes:
        separator: What stands between a connector and a name of its own.
        era: The protocol's era that is spoken to clients: `auto`, `modern` or `legacy`.
        http: The HTTP front; None where the policy says nothing of it.
        interceptors: The connectors whose servers are asked before and after each tool call.

    """

    separator: str = "__"
    era: str = "auto"
    http: Http | None = None
    interceptors: tuple[str, ...] = ()
