"""What another policy would say of the calls of the past."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

from blastwall.policy.decide import Policy
from blastwall.policy.layers import Layered
from blastwall.policy.observed import Observed
from blastwall.values import Allow, Ask, Classify, Deny, Sandbox, ToolCall, Verdict

AnyPolicy = Policy | Layered

Resolve = Callable[[str, Path | None], str | None]
"""Where a path leads (`blastwall.paths.resolve`), as the file system is now."""

NEWLY = ("allowed", "asked", "denied", "moved")
"""How a verdict may change; moved: it runs as before, and in another sandbox or out of it."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of verdict that a number of calls have in common.

    Attributes:
        newly: One of `NEWLY`.
        name: `connector.tool`.
        before, after: What either policy says: `allow (mail.send)`.
        count: How many calls.
        example: The latest of them.

    """

    newly: str
    name: str
    before: str
    after: str
    count: int
    example: Observed


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of a comparison.

    Attributes:
        changes: The changes, those first that let something run.
        same: Calls of which both policies say the same.
        unrecorded: Calls of which the log holds the digest only.
        uncertain: Calls that a policy decides by where data came from, of which the log tells nothing.

    """

    changes: tuple[Change, ...]
    same: int
    unrecorded: int
    uncertain: int


def compare(old: AnyPolicy, new: AnyPolicy, history: Iterable[Observed], resolve: Resolve) -> Compared:
    """Decide every call of the past by both policies. Rates, budgets and sums are not counted again."""

    def both(seen: Observed) -> _Pair:
        before, after = decided(old, seen, resolve), decided(new, seen, resolve)
        return _newly(before, after), _said(before), _said(after)

    return _tallied(history, both, (old, new))


def replay(new: AnyPolicy, history: Iterable[Observed], resolve: Resolve) -> Compared:
    """Decide every call of the past by a policy, and hold it against what was decided then."""

    def again(seen: Observed) -> _Pair:
        after = decided(new, seen, resolve)
        before, now = _THEN[seen.verdict], _THEN[type(after).__name__.lower()]
        return now if before != now else None, f"{seen.verdict} ({seen.rule or seen.reason})", _said(after)

    return _tallied(history, again, (new,))


_THEN = {"allow": "allowed", "sandbox": "allowed", "ask": "asked", "classify": "asked", "deny": "denied"}

_Pair = tuple[str | None, str, str]
"""How a verdict changes, and what it was and is."""


def _tallied(
    history: Iterable[Observed], judge: Callable[[Observed], _Pair], policies: tuple[AnyPolicy, ...]
) -> Compared:
    found: dict[tuple[str, str, str, str], Change] = {}
    same = unrecorded = uncertain = 0
    for seen in history:
        if seen.call is None:
            unrecorded += 1
            continue
        if seen.context is None and any(policy.recalls(seen.call) for policy in policies):
            uncertain += 1
            continue
        newly, before, after = judge(seen)
        if newly is None:
            same += 1
            continue
        key = (newly, seen.name, before, after)
        known = found.get(key, Change(*key, 0, seen))
        found[key] = replace(known, count=known.count + 1, example=seen)
    order = sorted(found.values(), key=lambda change: (NEWLY.index(change.newly), change.name, change.before))
    return Compared(tuple(order), same, unrecorded, uncertain)


def decided(policy: AnyPolicy, seen: Observed, resolve: Resolve) -> Verdict:
    """Decide a call of the past, of which the arguments were recorded."""
    call = again(policy, seen)
    base = policy.directory(seen.connector)
    return policy.decide(call, {path: resolve(path, base) for path in policy.paths(call)}, seen.context)


def again(policy: AnyPolicy, seen: Observed) -> ToolCall:
    """Make a call of the past again.

    A tool of which no fingerprint was recorded is taken for the one that the policy has pinned.
    """
    made = seen.made()
    pinned = policy.pins(seen.connector).get(seen.tool, "")
    return replace(made, fingerprint=made.fingerprint or pinned)


def _newly(before: Verdict, after: Verdict) -> str | None:
    match before, after:
        case (Allow() | Sandbox(), Allow() | Sandbox()):
            return "moved" if _place(before) != _place(after) else None
        case (_, Allow() | Sandbox()):
            return "allowed"
        case (Ask() | Classify(), Ask() | Classify()) | (Deny(), Deny()):
            return None
        case (_, Ask() | Classify()):
            return "asked"
        case _:
            return "denied"


def _place(verdict: Verdict) -> str | None:
    return verdict.profile.name if isinstance(verdict, Sandbox) else None


def _said(verdict: Verdict) -> str:
    match verdict:
        case Allow(rule) | Ask(rule) | Classify(rule):
            return f"{type(verdict).__name__.lower()} ({rule})"
        case Sandbox(rule, profile):
            return f"sandbox {profile.name} ({rule})"
        case Deny(denied):
            return f"deny ({denied.rule or denied.reason.value})"
        case _:
            assert_never(verdict)
