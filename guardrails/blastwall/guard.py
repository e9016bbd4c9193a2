"""What users hold in their hand: a policy with its handlers (`Guard`), and one agent run (`Session`)."""

import inspect
import secrets
import threading
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import asdict
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, assert_never

from blastwall.drive import arun, run
from blastwall.errors import BackendError, SandboxUnavailable
from blastwall.flow import (
    AnyEffect,
    Confine,
    Consult,
    Execute,
    Flow,
    Judge,
    Record,
    Resolve,
    Withhold,
    conclude,
    guard,
)
from blastwall.frozen import Json, NotJson
from blastwall.paths import resolve
from blastwall.values import (
    WORST_CASE,
    Annotations,
    Answer,
    Ask,
    Classify,
    Denied,
    Deny,
    Finding,
    Outcome,
    Profile,
    Reason,
    ToolCall,
    ToolOutput,
)

if TYPE_CHECKING:
    from blastwall.egress import Decision
    from blastwall.policy import Policy
    from blastwall.sandbox.boxes import Boxes

R = TypeVar("R")

Consultant = Callable[[ToolCall, Any], Answer | Awaitable[Answer]]
"""Answers an `Ask` (a person's channel) or a `Classify` (a judge). Plain or async; raising is a no."""

Executor = Callable[[ToolCall], Any]
"""Runs the frozen call where the tool lives; gives its `ToolOutput`, or for `acall` an awaitable of it."""

Confiner = Callable[[ToolCall, Profile], Any]
"""Runs the frozen call inside a sandbox of this profile, likewise."""


class AuditLog(Protocol):
    """Where records go; `blastwall.audit.AuditLog` is one."""

    waits: bool
    """Whether `write` waits for the disk, so that an event loop must not run it itself."""

    def write(self, session: str, event: str, call: ToolCall, details: Mapping[str, Json]) -> None:
        """Return when the record is durable, or raise `AuditError`."""
        ...


class Quarantine(Protocol):
    """Where withheld outputs go; `blastwall.state.Quarantine` is one."""

    def keep(self, call: ToolCall, output: ToolOutput, findings: tuple[Finding, ...]) -> str:
        """Keep the output and give its id, or raise `BackendError`."""
        ...


class Guard:
    """A policy, and the hands that carry it out. Safe to share between threads and event loops.

    Args:
        policy: The compiled policy.
        audit: The audit log. Every verdict is durable there before its effect happens.
        quarantine: Where withheld outputs are kept.
        ask: Answers `ask` rules. Without it they deny.
        classify: Answers them first where the policy says `approval: {mode: auto}`. Without it they deny.

    """

    def __init__(
        self,
        policy: "Policy",
        *,
        audit: AuditLog,
        quarantine: Quarantine,
        ask: Consultant | None = None,
        classify: Consultant | None = None,
    ) -> None:
        """Keep the parts; nothing is opened or started."""
        self.policy = policy
        self._audit = audit
        self._quarantine = quarantine
        self._ask = ask
        self._classify = classify
        self._default = Session(self)
        self._current: ContextVar[Session | None] = ContextVar("blastwall_session", default=None)

    @classmethod
    def from_file(
        cls,
        path: str | PathLike[str],
        *,
        ask: Consultant | None = None,
        classify: Consultant | None = None,
    ) -> "Guard":
        """Load a policy file; its `defaults.state` says where the audit log and the quarantine are.

        Raises:
            PolicyError: with every mistake in the file at once.

        """
        # Reading a policy costs pydantic and a YAML reader: `import blastwall` alone does not pay for them.
        from blastwall.audit import AuditLog  # noqa: PLC0415
        from blastwall.policyfile import load  # noqa: PLC0415
        from blastwall.state import Quarantine  # noqa: PLC0415

        policy = load(path)
        state = policy.state
        audit = AuditLog(
            state.audit_path,
            durability=state.durability,
            arguments=state.arguments,
            policy=policy.digest,
        )
        return cls(
            policy, audit=audit, quarantine=Quarantine(state.quarantine_path), ask=ask, classify=classify
        )

    @contextmanager
    def session(self) -> Generator["Session"]:
        """Open one agent run: calls inside the `with` block belong to it, in the audit log too."""
        opened = Session(self)
        token = self._current.set(opened)
        try:
            yield opened
        finally:
            self._current.reset(token)
            opened.close()

    @property
    def current(self) -> "Session":
        """The session of the surrounding `with guard.session():`, or the guard's own."""
        return self._current.get() or self._default

    def tool(
        self,
        function: Callable[..., Any] | None = None,
        *,
        connector: str,
        name: str | None = None,
        output: Any = None,
    ) -> Any:
        """Decorate a plain function, sync or async, so that every call of it is guarded.

        Args:
            function: The function; leave it out to decorate with arguments.
            connector: Whose scopes apply.
            name: The tool's name in the policy; the function's own by default.
            output: A type that the result must validate against; anything else goes to quarantine.

        Calling it raises `RefusedError` when the call is refused or its output withheld.

        Raises:
            TypeError: when the function can't be guarded (`*args`, a generator).

        """
        from blastwall.functions import guarded  # noqa: PLC0415  # pydantic, paid for by who decorates

        if function is None:
            return lambda decorated: guarded(self, decorated, connector, name, output)
        return guarded(self, function, connector, name, output)


class Session:
    """One agent run under one guard: what its calls have in common. Make it with `Guard.session`."""

    def __init__(self, owner: Guard) -> None:
        """Start with an id that can't be guessed."""
        self.guard = owner
        self.id = secrets.token_hex(8)
        self._boxes: Boxes | None = None
        self._opening = threading.Lock()

    @property
    def boxes(self) -> "Boxes":
        """The sandboxes of this run: gates, ready workers, containers, machines. No other run gets them."""
        from blastwall.sandbox.boxes import Boxes  # noqa: PLC0415  # paid for by who confines something

        with self._opening:
            if self._boxes is None:
                self._boxes = Boxes(self.guard.policy.credentials, self._egress)
            return self._boxes

    def close(self) -> None:
        """Destroy the run's sandboxes with everything in them. If it goes on, they are made anew."""
        with self._opening:
            boxes, self._boxes = self._boxes, None
        if boxes is not None:
            boxes.close()

    def _egress(self, decision: "Decision") -> None:
        """Record what a gate decided, before it takes effect."""
        self.guard._audit.write(self.id, "egress", _NETWORK, asdict(decision))

    def call(
        self,
        connector: str,
        tool: str,
        arguments: Mapping[str, object],
        execute: Executor,
        *,
        confine: Confiner | None = None,
        annotations: Annotations = WORST_CASE,
    ) -> Outcome:
        """Guard one call, blocking. `execute` gets the frozen call that was judged, at most once."""
        flow = _flow(self.guard.policy, connector, tool, arguments, annotations)

        def handle(effect: AnyEffect) -> Any:
            match effect:
                case Execute(call):
                    return execute(call)
                case Confine(call, profile):
                    return _confiner(confine, profile)(call, profile)
                case Consult(call, verdict):
                    return _wait(self._consultant(verdict), call, verdict)
                case _:
                    return self._handle(effect)

        return run(flow, handle)

    async def acall(
        self,
        connector: str,
        tool: str,
        arguments: Mapping[str, object],
        execute: Executor,
        *,
        confine: Confiner | None = None,
        annotations: Annotations = WORST_CASE,
    ) -> Outcome:
        """Guard one call, awaiting. `execute` and `confine` give awaitables."""
        flow = _flow(self.guard.policy, connector, tool, arguments, annotations)

        async def handle(effect: AnyEffect) -> Any:
            match effect:
                case Execute(call):
                    return await execute(call)
                case Confine(call, profile):
                    return await _confiner(confine, profile)(call, profile)
                case Consult(call, verdict):
                    return await _await(self._consultant(verdict), call, verdict)
                case Record() if self.guard._audit.waits:
                    return await _off_loop(self._handle, effect)
                case _:
                    return self._handle(effect)

        return await arun(flow, handle)

    def refuse(
        self,
        connector: str,
        tool: str,
        arguments: Mapping[str, object],
        denied: Denied,
    ) -> Outcome:
        """Refuse a call that needs no policy to be wrong, such as one that breaks its tool's schema.

        It is recorded like any other refusal.
        """
        try:
            call = ToolCall.of(connector, tool, arguments)
        except NotJson:
            call = _without_arguments(connector, tool)
        flow = conclude(call, self.guard.policy, Deny(denied))
        return run(flow, self._handle)  # type: ignore[arg-type]  # a denial asks for records only

    def _handle(self, effect: Resolve | Withhold | Record) -> object:
        match effect:
            case Resolve(call, paths):
                base = self.guard.policy.directory(call.connector)
                return {path: resolve(path, base) for path in paths}
            case Withhold(call, output, findings):
                return self.guard._quarantine.keep(call, output, findings)
            case Record(event, call, details):
                self.guard._audit.write(self.id, event, call, details)
                return None
            case _:
                assert_never(effect)

    def _consultant(self, verdict: Ask | Classify) -> Consultant:
        if isinstance(verdict, Ask):
            found, missing = self.guard._ask, "nobody can be asked here: pass ask= to the guard"
        else:
            found, missing = self.guard._classify, "there is no classifier here: pass classify= to the guard"
        if found is None:
            raise BackendError(missing)
        return found


_NETWORK = ToolCall.of("sandbox", "network", {})
"""What the decisions of a gate are recorded under: no single call owns a connection."""


def _flow(
    judge: Judge, connector: str, tool: str, arguments: Mapping[str, object], annotations: Annotations
) -> Flow[Outcome]:
    try:
        return guard(ToolCall.of(connector, tool, arguments, annotations), judge)
    except NotJson as error:
        denied = Denied(Reason.INVALID_CALL, f"the arguments are not plain JSON: {error}")
        return conclude(_without_arguments(connector, tool), judge, Deny(denied))


def _without_arguments(connector: str, tool: str) -> ToolCall:
    """Give a call that can be recorded, whatever the caller wrote."""
    plain = [name.encode(errors="replace").decode() for name in (connector, tool)]
    return ToolCall.of(plain[0], plain[1], {})


def _confiner(confine: Confiner | None, profile: Profile) -> Confiner:
    if confine is None:
        raise SandboxUnavailable(
            f"the policy wants this tool in sandbox {profile.name!r}, and a tool of this kind can't run in"
            " one: wrap a function or an MCP server instead, or take `sandbox` off the rule"
        )
    return confine


def _wait(consultant: Consultant, call: ToolCall, verdict: Ask | Classify) -> Answer:
    """Ask in a thread of its own, so that an answer that never comes is a no when the time is up."""
    answers: list[Answer | Awaitable[Answer]] = []
    errors: list[Exception] = []

    def consult() -> None:
        try:
            answers.append(consultant(call, verdict))
        except Exception as error:  # noqa: BLE001  # raised again in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=copy_context().run, args=(consult,), daemon=True)
    thread.start()
    thread.join(verdict.timeout_s)
    if errors:
        raise errors[0]
    if not answers:
        raise BackendError(f"no answer within {verdict.timeout_s:g} s")
    answer = answers[0]
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise BackendError("the answering channel is asynchronous: call this tool with await")
    return answer


async def _off_loop(handle: Callable[[Record], object], effect: Record) -> object:
    import asyncio  # noqa: PLC0415  # 60 ms that a blocking program need not pay

    return await asyncio.to_thread(handle, effect)


async def _await(consultant: Consultant, call: ToolCall, verdict: Ask | Classify) -> Answer:
    import asyncio  # noqa: PLC0415  # 60 ms that a blocking program need not pay

    async def consult() -> Answer:
        answer = await asyncio.to_thread(consultant, call, verdict)
        return await answer if inspect.isawaitable(answer) else answer

    try:
        return await asyncio.wait_for(consult(), verdict.timeout_s)
    except TimeoutError:
        raise BackendError(f"no answer within {verdict.timeout_s:g} s") from None
