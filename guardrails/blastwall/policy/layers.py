"""Several policies over one call: one of them grants, every other one can only take away."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from blastwall.frozen import Json, digest
from blastwall.policy.decide import Policy
from blastwall.policy.truth import Resolved
from blastwall.provenance import Context, Labels
from blastwall.values import (
    WORST_CASE,
    Action,
    Allow,
    Annotations,
    Ask,
    Charge,
    Classify,
    Denied,
    Deny,
    Reason,
    Sandbox,
    Screened,
    ToolCall,
    ToolOutput,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Layered:
    """A policy under others that narrow it: the organisation's, the project's, the task's.

    A layer that names the call's connector (or `*`) must permit the call as well; one that does not has
    nothing to say about it. The strictest verdict wins. What is no verdict (servers, sandboxes, state)
    comes from the primary alone, so that no other layer can add anything.
    """

    primary: Policy
    narrowing: tuple[Policy, ...] = ()

    def __getattr__(self, name: str) -> Any:
        """Give what only the primary decides."""
        return getattr(self.primary, name)

    @property
    def digest(self) -> str:
        """One digest for all the layers together."""
        return digest("\n".join(policy.digest for policy in self._all))

    @property
    def _all(self) -> tuple[Policy, ...]:
        return (self.primary, *self.narrowing)

    def _over(self, connector: str) -> tuple[Policy, ...]:
        """Give the layers that have a say in the calls of a connector."""
        return (self.primary, *(p for p in self.narrowing if p.connector(connector)))

    def paths(self, call: ToolCall) -> tuple[str, ...]:
        """Name the path arguments whose resolved form `decide` needs."""
        return tuple(dict.fromkeys(path for p in self._over(call.connector) for path in p.paths(call)))

    @property
    def traces(self) -> bool:
        """Whether any layer looks at where data came from."""
        return any(policy.traces for policy in self._all)

    def recalls(self, call: ToolCall) -> bool:
        """Say whether any layer's verdict depends on what the session has seen and heard."""
        return any(policy.recalls(call) for policy in self._over(call.connector))

    def leant(self, call: ToolCall, context: Context | None) -> Mapping[str, Json]:
        """Give what a verdict leant on beside the arguments, for the record."""
        return self.primary.leant(call, context)

    def decide(self, call: ToolCall, resolved: Resolved, context: Context | None = None) -> Verdict:
        """Say what may happen to the call."""
        first, *others = self._over(call.connector)
        verdicts = [first.decide(call, resolved, context)]
        verdicts += [_counted(policy.decide(call, resolved, context), policy) for policy in others]
        return strictest(call, verdicts)

    def over(self, call: ToolCall, verdict: Allow | Sandbox, charge: Charge) -> Verdict:
        """Say what happens to a permitted call, now that this charge can't be paid: its own layer does."""
        owner = next((p for p in self.narrowing if charge.key.endswith(_mark(p))), self.primary)
        return owner.over(call, verdict, charge)

    def screen(self, call: ToolCall, output: ToolOutput) -> Screened:
        """Screen an output as every layer demands, one after the other; the highest action wins."""
        screened = self.primary.screen(call, output)
        for policy in self._over(call.connector)[1:]:
            again = policy.screen(call, replace(output, value=screened.value, check=None))
            findings = (*screened.findings, *again.findings)
            value = screened.value if again.action is Action.PASS else again.value
            screened = Screened(max(screened.action, again.action), value, findings)
        return screened

    def labels(self, call: ToolCall) -> Labels:
        """Label an output as the strictest of the primary and of the layers that label it themselves."""
        said = [policy.labels(call) for policy in self._over(call.connector)[1:] if _labels(policy, call)]
        return Labels.strictest([self.primary.labels(call), *said])

    def permits(
        self,
        connector: str,
        tool: str,
        annotations: Annotations = WORST_CASE,
        fingerprint: str = "",
        known: Mapping[str, object] | None = None,
    ) -> bool:
        """Say whether any call of this tool, or message of this name, could run, as far as is known."""
        return all(p.permits(connector, tool, annotations, fingerprint, known) for p in self._over(connector))

    def first_use(self, connector: str) -> bool:
        """Say whether a layer wants what a connector's server says of itself pinned as it is first seen."""
        return any(policy.first_use(connector) for policy in self._over(connector))

    def pins(self, connector: str) -> Mapping[str, str]:
        """Give the fingerprints that a connector's tools must have."""
        pinned: dict[str, str] = {}
        for policy in self._over(connector):
            pinned |= policy.pins(connector)
        return pinned


def _labels(policy: Policy, call: ToolCall) -> bool:
    connector = policy.connector(call.connector)
    return connector is not None and connector.labelled(call.tool)


def _mark(policy: Policy) -> str:
    return f" of {policy.file}"


def _counted(verdict: Verdict, policy: Policy) -> Verdict:
    """Let a layer keep its own count of everything, beside that of the primary."""
    if isinstance(verdict, Deny):
        return verdict
    counted = replace(verdict, charges=_marked(verdict.charges, policy))
    if isinstance(counted, Ask | Classify):
        then = replace(counted.then, charges=_marked(counted.then.charges, policy))
        return replace(counted, then=then)
    return counted


def _marked(charges: tuple[Charge, ...], policy: Policy) -> tuple[Charge, ...]:
    return tuple(replace(charge, key=charge.key + _mark(policy)) for charge in charges)


def strictest(call: ToolCall, verdicts: list[Verdict]) -> Verdict:
    """Combine the verdicts of all layers: every one must permit the call, and every one is paid."""
    for verdict in verdicts:
        if isinstance(verdict, Deny):
            return verdict
    runs = [v.then if isinstance(v, Ask | Classify) else v for v in verdicts if not isinstance(v, Deny)]
    profiles = {run.profile for run in runs if isinstance(run, Sandbox)}
    if len(profiles) > 1:
        names = " and ".join(sorted({profile.name for profile in profiles}))
        message = f"the layers of the policy disagree on the sandbox of {call.name}: {names}"
        return Deny(Denied(Reason.AMBIGUOUS, message, runs[0].rule, "name one sandbox in the policy"))
    charges = tuple(charge for run in runs for charge in run.charges)
    overlooked = next((run.instead_of for run in runs if run.instead_of), None)
    run: Allow | Sandbox = Allow(runs[0].rule, charges, overlooked)
    for profile in profiles:
        run = Sandbox(runs[0].rule, profile, charges, overlooked)
    asking = [verdict for verdict in verdicts if isinstance(verdict, Ask | Classify)]
    if not asking:
        return run
    first = next((ask for ask in asking if isinstance(ask, Ask)), asking[0])
    return replace(
        first,
        question="; ".join(ask.question for ask in asking),
        then=run,
        timeout_s=min(ask.timeout_s for ask in asking),
        charges=tuple(charge for ask in asking for charge in ask.charges),
    )
