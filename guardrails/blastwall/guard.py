"""What users hold in their hand: a policy with the hands that carry it out."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from os import PathLike
from typing import TYPE_CHECKING, Any

from blastwall.frozen import Json
from blastwall.hands import AuditLog, Consultant, Hands, Ledger, Quarantine
from blastwall.session import Session
from blastwall.values import Charge, ToolCall

if TYPE_CHECKING:
    from blastwall.errors import PolicyError, Problem
    from blastwall.policy import Layered, Policy
    from blastwall.policyfile import Watched
    from blastwall.state import Counters


class Guard:
    """A policy, and the hands that carry it out. Safe to share between threads and event loops.

    Args:
        policy: The compiled policy.
        audit: The audit log. Every verdict is durable there before its effect happens.
        quarantine: Where withheld outputs are kept.
        ledger: Who counts rates and budgets; by default in the policy's state folder.
        ask: Answers `ask` rules. Without it they deny.
        classify: Answers them first where the policy says `approval: {mode: auto}`. Without it they deny.

    """

    def __init__(
        self,
        policy: "Policy | Layered",
        *,
        audit: AuditLog,
        quarantine: Quarantine,
        ledger: Ledger | None = None,
        ask: Consultant | None = None,
        classify: Consultant | None = None,
    ) -> None:
        """Keep the parts; nothing is opened or started."""
        self._policy = policy
        self._watched: Watched | None = None
        self.hands = Hands(audit, quarantine, ledger or _Counting(policy), ask, classify)
        self._default = Session(self)
        self._current: ContextVar[Session | None] = ContextVar("blastwall_session", default=None)

    @classmethod
    def from_file(
        cls,
        path: str | PathLike[str],
        *,
        narrowing: Sequence[str | PathLike[str]] = (),
        ask: Consultant | None = None,
        classify: Consultant | None = None,
    ) -> "Guard":
        """Load a policy file; its `defaults.state` says where the audit log and the quarantine are.

        The files are looked at again while the guard is in use. A change is taken over as a whole; one with
        a mistake in it is logged and recorded, and the last good policy stays in force.

        Args:
            path: The file that grants.
            narrowing: Further files, each of which can only take away.
            ask: Answers `ask` rules.
            classify: Answers them first in `auto` mode.

        Raises:
            PolicyError: with every mistake in the files at once.

        """
        # Reading a policy costs pydantic and a YAML reader: `import blastwall` alone does not pay for them.
        from blastwall.audit import AuditLog  # noqa: PLC0415
        from blastwall.policyfile import Watched  # noqa: PLC0415
        from blastwall.state import Quarantine  # noqa: PLC0415

        watched = Watched(path, *narrowing)
        policy = watched.current()
        state = policy.state
        audit = AuditLog(state.audit_path, durability=state.durability, arguments=state.arguments)
        made = cls(
            policy, audit=audit, quarantine=Quarantine(state.quarantine_path), ask=ask, classify=classify
        )
        watched.on_change, watched.on_problem = made._changed, made._rejected
        made._watched = watched
        return made

    @property
    def policy(self) -> "Policy | Layered":
        """The policy in force. It may change between two looks; a call takes one and keeps it."""
        return self._policy if self._watched is None else self._watched.current()

    def _changed(self, old: str, new: str, waiting: "tuple[Problem, ...]") -> None:
        details: dict[str, Json] = {"from": old, "to": new, "after_restart": tuple(map(str, waiting))}
        self.hands.audit.write(self._default.id, "policy-loaded", _RELOAD, details, new)

    def _rejected(self, error: "PolicyError") -> None:
        details: dict[str, Json] = {"problems": tuple(map(str, error.problems))}
        self.hands.audit.write(self._default.id, "policy-rejected", _RELOAD, details, self.policy.digest)

    @contextmanager
    def session(self, prompt: str | None = None) -> Generator[Session]:
        """Open one agent run: calls inside the `with` block belong to it, in the audit log too.

        Args:
            prompt: The user's own words, as for `Session.begin`.

        """
        with self.opened(Session(self)) as opened:
            if prompt is not None:
                opened.begin(prompt)
            yield opened

    @contextmanager
    def opened(self, session: Session) -> Generator[Session]:
        """Make a session the current one for a while, and close it then."""
        token = self._current.set(session)
        try:
            yield session
        finally:
            self._current.reset(token)
            session.close()

    @property
    def current(self) -> Session:
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


_RELOAD = ToolCall.of("policy", "reload", {})
"""What a change of the policy is recorded under."""


class _Counting:
    """A ledger in the policy's state folder, opened by the first call that uses something up."""

    def __init__(self, policy: "Policy | Layered") -> None:
        self._state = policy.state
        self._ledger: Ledger | None = None

    def spend(self, charges: Sequence[Charge], counters: "Counters") -> Charge | None:
        from blastwall.state import Ledger as Opened  # noqa: PLC0415  # sqlite3, for who counts

        if self._ledger is None:
            self._ledger = Opened(self._state.ledger_path, durability=self._state.durability)
        return self._ledger.spend(charges, counters)
