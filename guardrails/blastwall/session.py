"""One agent run: what its calls have in common, and the hands that carry their effects out."""

import inspect
import secrets
import threading
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import copy_context
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, assert_never

from blastwall.drive import arun, run
from blastwall.effects import (
    AnyEffect,
    Confine,
    Consult,
    Execute,
    Flow,
    Recall,
    Record,
    Remember,
    Resolve,
    Spend,
    Withhold,
)
from blastwall.errors import BackendError, SandboxUnavailable
from blastwall.flow import Judge, conclude, guard
from blastwall.frozen import Json, NotJson
from blastwall.hands import Confiner, Consultant, Executor, Hands
from blastwall.paths import resolve
from blastwall.values import (
    WORST_CASE,
    Annotations,
    Answer,
    Ask,
    Classify,
    Denied,
    Deny,
    Outcome,
    Profile,
    Reason,
    ToolCall,
)

if TYPE_CHECKING:
    from blastwall.egress import Decision
    from blastwall.policy import Layered, Policy
    from blastwall.provenance import Memory
    from blastwall.sandbox.boxes import Boxes
    from blastwall.state import Counters


class Owner(Protocol):
    """What a session needs of its guard."""

    hands: Hands

    @property
    def policy(self) -> "Policy | Layered":
        """The policy in force; a call takes one look and keeps it."""
        ...

    def opened(self, session: "Session") -> AbstractContextManager["Session"]:
        """Make a session the current one for a while, and close it then."""
        ...


@dataclass(slots=True)
class _Shared:
    """What a run and the runs of its sub-agents have in common: all that was seen, said and spent."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    memory: "Memory | None" = None
    counters: "Counters | None" = None


class Session:
    """One agent run under one guard: what its calls have in common. Make it with `Guard.session`."""

    def __init__(self, owner: Owner, parent: "Session | None" = None) -> None:
        """Start with an id that can't be guessed; a sub-agent's begins with its parent's."""
        self.guard = owner
        self._parent = parent
        self.id = secrets.token_hex(8)
        self._shared: _Shared = parent._shared if parent else _Shared()
        self._boxes: Boxes | None = None
        self._opening = threading.Lock()

    def begin(self, prompt: str) -> None:
        """Hear the user's own words: for each message that the user writes, and for nothing else.

        What the words name may steer calls, and what they ask for is what the user wants. Text that a tool
        returned, or that a model wrote, must never come here.

        Raises:
            BackendError: when this is a sub-agent's session, whose instructions a model wrote, or the
                audit log can't be written.
            ValueError: when the text is longer than what can be kept in mind.

        """
        if self._parent is not None:
            raise BackendError(
                "a sub-agent's instructions are not the user's words: begin the user's own session"
            )
        policy = self.guard.policy
        full = policy.state.arguments == "full"
        told: dict[str, Json] = {"text": prompt} if full else {"characters": len(prompt)}
        self.guard.hands.audit.write(self.id, "prompt", _PROMPT, told, policy.digest)
        with self._shared.lock:
            self._memory().begin(prompt)

    @contextmanager
    def child(self) -> Generator["Session"]:
        """Open the run of a sub-agent: it has seen, heard and spent what its parent has, and the reverse.

        It has sandboxes of its own. Calls inside the `with` block belong to it.
        """
        opened = Session(self.guard, self)
        policy = self.guard.policy
        self.guard.hands.audit.write(opened.id, "child", _PROMPT, {"of": self.id}, policy.digest)
        with self.guard.opened(opened):
            yield opened

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
        digest = self.guard.policy.digest
        self.guard.hands.audit.write(self.id, "egress", _NETWORK, asdict(decision), digest)

    def call(
        self,
        connector: str,
        tool: str,
        arguments: Mapping[str, object],
        execute: Executor,
        *,
        confine: Confiner | None = None,
        annotations: Annotations = WORST_CASE,
        fingerprint: str = "",
    ) -> Outcome:
        """Guard one call, blocking. `execute` gets the frozen call that was judged, at most once."""
        policy = self.guard.policy
        flow = _flow(policy, connector, tool, arguments, annotations, fingerprint)

        def handle(effect: AnyEffect) -> Any:
            match effect:
                case Execute(call):
                    return execute(call)
                case Confine(call, profile):
                    return _confiner(confine, profile)(call, profile)
                case Consult(call, verdict):
                    return _wait(self._consultant(verdict), call, verdict)
                case _:
                    return self._handle(effect, policy)

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
        fingerprint: str = "",
    ) -> Outcome:
        """Guard one call, awaiting. `execute` and `confine` give awaitables."""
        policy = self.guard.policy
        flow = _flow(policy, connector, tool, arguments, annotations, fingerprint)

        async def handle(effect: AnyEffect) -> Any:
            match effect:
                case Execute(call):
                    return await execute(call)
                case Confine(call, profile):
                    return await _confiner(confine, profile)(call, profile)
                case Consult(call, verdict):
                    return await _await(self._consultant(verdict), call, verdict)
                case Record() if self.guard.hands.audit.waits:
                    return await _off_loop(self._handle, effect, policy)
                case Spend(_, charges) if any(charge.per_s for charge in charges):
                    return await _off_loop(self._handle, effect, policy)
                case _:
                    return self._handle(effect, policy)

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
        policy = self.guard.policy
        flow = conclude(call, policy, Deny(denied))
        return run(flow, lambda effect: self._handle(effect, policy))  # type: ignore[arg-type]  # records only

    def _handle(
        self,
        effect: Resolve | Recall | Spend | Remember | Withhold | Record,
        policy: "Policy | Layered",
    ) -> object:
        match effect:
            case Resolve(call, paths):
                base = policy.directory(call.connector)
                return {path: resolve(path, base) for path in paths}
            case Recall(call):
                with self._shared.lock:
                    return self._memory().recall(call.arguments)
            case Spend(_, charges):
                return self.guard.hands.ledger.spend(charges, self._counters())
            case Remember(call, values, labels):
                with self._shared.lock:
                    return self._memory().remember_all(call.name, values, labels)
            case Withhold(call, output, findings):
                return self.guard.hands.quarantine.keep(call, output, findings)
            case Record(event, call, details):
                self.guard.hands.audit.write(self.id, event, call, details, policy.digest)
                return None
            case _:
                assert_never(effect)

    def _memory(self) -> "Memory":
        from blastwall.provenance import Memory  # noqa: PLC0415  # paid for by policies that trace

        if self._shared.memory is None:
            self._shared.memory = Memory()
        return self._shared.memory

    def _counters(self) -> "Counters":
        from blastwall.state import Counters  # noqa: PLC0415  # paid for by policies that count

        with self._shared.lock:
            if self._shared.counters is None:
                self._shared.counters = Counters()
            return self._shared.counters

    def _consultant(self, verdict: Ask | Classify) -> Consultant:
        if isinstance(verdict, Ask):
            found, missing = self.guard.hands.ask, "nobody can be asked here: pass ask= to the guard"
        else:
            found = self.guard.hands.classify
            missing = "there is no classifier here: pass classify= to the guard"
        if found is None:
            raise BackendError(missing)
        return found


_NETWORK = ToolCall.of("sandbox", "network", {})
"""What the decisions of a gate are recorded under: no single call owns a connection."""

_PROMPT = ToolCall.of("session", "begin", {})
"""What the beginnings of runs are recorded under."""


def _flow(
    judge: Judge,
    connector: str,
    tool: str,
    arguments: Mapping[str, object],
    annotations: Annotations,
    fingerprint: str,
) -> Flow[Outcome]:
    try:
        return guard(ToolCall.of(connector, tool, arguments, annotations, fingerprint), judge)
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


async def _off_loop(
    handle: Callable[[Any, Any], object], effect: Record | Spend, policy: "Policy | Layered"
) -> object:
    import asyncio  # noqa: PLC0415  # 60 ms that a blocking program need not pay

    return await asyncio.to_thread(handle, effect, policy)


async def _await(consultant: Consultant, call: ToolCall, verdict: Ask | Classify) -> Answer:
    import asyncio  # noqa: PLC0415  # 60 ms that a blocking program need not pay

    async def consult() -> Answer:
        answer = await asyncio.to_thread(consultant, call, verdict)
        return await answer if inspect.isawaitable(answer) else answer

    try:
        return await asyncio.wait_for(consult(), verdict.timeout_s)
    except TimeoutError:
        raise BackendError(f"no answer within {verdict.timeout_s:g} s") from None
