"""The narrowest scopes that an observed agent would have needed: proposed, never put in force."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import re2

from blastwall.advice.compare import AnyPolicy, Resolve
from blastwall.advice.lint import REACHING
from blastwall.advice.narrow import Narrowed, narrowed, strings
from blastwall.advice.wanting import PERMITTED, WANTING, kind
from blastwall.frozen import FrozenDict
from blastwall.policy.doing import WORST
from blastwall.policy.flows import Content, Control
from blastwall.policy.messages import does as message_does
from blastwall.policy.messages import is_message, method, spelled
from blastwall.policy.observed import Observed, secrets
from blastwall.policy.records import Records
from blastwall.policy.truth import Resolved
from blastwall.provenance import Context
from blastwall.values import LOOKS, Confidentiality, Does, Integrity

_SOURCES = ("bound", "unmentioned", "typed", "internal")
"""What may steer an argument beside the prompt and trusted records, the narrowest first."""

_LONGEST_ID = 32


@dataclass(frozen=True, slots=True)
class Proposal:
    """One rule for one tool.

    Attributes:
        connector, tool: Whose it is.
        rule: The rule's block, as the policy file would have it.
        calls: How many calls stand behind it.
        why: Why it asks, where it does.
        doubts: Arguments that outside text chose, with the numbers of the records: an attacker may have.

    """

    connector: str
    tool: str
    rule: Mapping[str, Any]
    calls: int
    why: str
    doubts: Mapping[str, Sequence[int]]


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned.

    Attributes:
        proposals: The rules.
        permitted: Calls that need none.
        left_out: Calls that no proposal is for: the numbers of their records, by tool and reason.

    """

    proposals: tuple[Proposal, ...]
    permitted: int
    left_out: Mapping[tuple[str, str], Sequence[int]]


def learn(
    history: Iterable[Observed],
    resolve: Resolve,
    *,
    policy: AnyPolicy | None = None,
    records: Iterable[Records] = (),
    forbidden: frozenset[str] = frozenset(),
) -> Learned:
    """Propose rules for the calls that a permissive policy let run although no rule allows them.

    Args:
        history: The log's decisions.
        resolve: Says where paths lead.
        policy: What the rules are for: what it permits needs none, what a rule of it denies gets none.
        records: Its trusted records.
        forbidden: Folders that are too much for a rule, such as the user's home.

    """
    left: dict[tuple[str, str], list[int]] = {}
    wanting: dict[tuple[str, str], list[Observed]] = {}
    permitted: dict[tuple[str, str], list[Observed]] = {}
    for seen in history:
        found = kind(seen, policy, resolve)
        if found == WANTING and not _exact(seen.tool):
            found = "a policy can't name the tool: its name is a pattern there"
        if found in (WANTING, PERMITTED):
            group = wanting if found == WANTING else permitted
            group.setdefault((seen.connector, seen.tool), []).append(seen)
        else:
            left.setdefault((seen.name, found), []).append(seen.number)
    maker = _Maker(resolve, policy, tuple(records), forbidden, _ids(policy))
    proposals = [maker.proposal(seen, permitted.get(place, [])) for place, seen in sorted(wanting.items())]
    return Learned(tuple(proposals), sum(map(len, permitted.values())), left)


def _exact(tool: str) -> bool:
    return bool(tool) and not re2.search(r"[*?\[\]{}()|^$\\!]", tool)


def _ids(policy: AnyPolicy | None) -> set[str]:
    return {rule.id for c in policy.connectors.values() for rule in c.rules} if policy else set()


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the proposals; and what it needs for that."""

    resolve: Resolve
    policy: AnyPolicy | None
    records: tuple[Records, ...]
    forbidden: frozenset[str]
    taken: set[str]

    def proposal(self, wanting: Sequence[Observed], permitted: Sequence[Observed]) -> Proposal:
        """Propose a rule for one tool.

        Args:
            wanting: The calls that it is for.
            permitted: Others that are permitted already: an `ask` rule that could not be checked on one
                would refuse it, so it then has to hold for these as well.

        """
        first, calls = wanting[0], wanting
        found = self._narrowed(calls)
        does = frozenset().union(*map(self._does, wanting))
        if _why(does, found) and not all(found.decides(*self._given(seen)) for seen in permitted):
            calls = [*wanting, *permitted]
            found = self._narrowed(calls)
        doubts = {} if does <= LOOKS else self._doubts(calls)
        why = _why(does, found) or (f"outside text chose {', '.join(doubts)}" if doubts else "")
        rule: dict[str, Any] = {
            "id": self._id(first.connector, method(first.tool)),
            "effect": "ask" if why else "allow",
            **{key: [name] for key, name in spelled([first.tool])},
        }
        if found.demands:
            rule["args"] = found.args
        if flow := {} if does <= LOOKS else self._flow(calls):
            rule["flow"] = flow
        return Proposal(first.connector, first.tool, rule, len(wanting), why, doubts)

    def _narrowed(self, calls: Sequence[Observed]) -> Narrowed:
        given = [self._given(seen) for seen in calls]
        resolved = {text: place for _, places in given for text, place in places.items()}
        secret = frozenset(name for seen in calls if seen.context for name in secrets(seen.context))
        return narrowed([arguments for arguments, _ in given], resolved, self.forbidden, secret)

    def _given(self, seen: Observed) -> tuple[FrozenDict, Resolved]:
        """Give a call's arguments, and where each text in them would lead if it were a path.

        Where a relative one starts is known only of a connector with a folder.
        """
        arguments = seen.made().arguments
        base = self.policy.directory(seen.connector) if self.policy else None
        texts = [text for text in strings(arguments) if base or text.startswith("/")]
        return arguments, {text: self.resolve(text, base) for text in texts}

    def _does(self, seen: Observed) -> frozenset[Does]:
        known = self.policy.connectors.get(seen.connector) if self.policy else None
        if known:
            return known.does(seen.tool, seen.made().annotations)
        return message_does(seen.tool, ()) if is_message(seen.tool) else WORST

    def _id(self, connector: str, tool: str) -> str:
        """Make a name for a rule that no other rule has."""
        plain = re2.sub(r"_{2,}", "_", re2.sub(r"[^A-Za-z0-9_.-]", "-", tool))
        name = f"learned-{plain}"[:_LONGEST_ID].rstrip("_")
        number = 1
        while f"{connector}.{name}" in self.taken:
            number += 1
            name = f"learned-{number}-{plain}"[:_LONGEST_ID].rstrip("_")
        self.taken.add(f"{connector}.{name}")
        return name

    def _doubts(self, calls: Sequence[Observed]) -> dict[str, list[int]]:
        """Find values that stood as a whole in outside text, and nowhere better."""
        found: dict[str, dict[int, None]] = {}
        for seen in calls:
            for leaf in seen.context.traced if seen.context else ():
                best = max((origin.label.integrity for origin in leaf.whole), default=Integrity.PROMPT)
                trusted = any(records.covers(leaf.value) for records in self.records)
                if best is Integrity.EXTERNAL and not trusted:
                    found.setdefault(str(leaf.path[0]), {})[seen.number] = None
        return {argument: list(records) for argument, records in found.items()}

    def _flow(self, calls: Sequence[Observed]) -> dict[str, Any]:
        """Propose who may steer the arguments and what may leave, as every one of the calls had it."""
        contexts = [(seen.made().arguments, seen.context) for seen in calls if seen.context is not None]
        if len(contexts) < len(calls):
            return {}
        flow: dict[str, Any] = {}
        names = dict.fromkeys(leaf.path[0] for _, context in contexts for leaf in context.traced)
        control = {
            name: sources
            for name in names
            if isinstance(name, str) and name not in ("", "*") and "." not in name
            if (sources := self._sources(name, contexts))
        }
        if control:
            flow["control"] = control
        if content := self._content([context for _, context in contexts]):
            flow["content"] = content
        return flow

    def _sources(self, name: str, calls: Sequence[tuple[FrozenDict, Context]]) -> list[str]:
        """Give the sources that steered an argument; none where one value of it came from nowhere."""
        chosen: list[str] = []
        for arguments, context in calls:
            if self._steered(name, chosen, arguments, context):
                continue
            order = ("prompt", *(records.name for records in self.records), *_SOURCES)
            further = (s for s in order if self._steered(name, [*chosen, s], arguments, context))
            if (source := next(further, None)) is None:
                return []
            chosen.append(source)
        return chosen

    def _steered(self, name: str, sources: Sequence[str], arguments: FrozenDict, context: Context) -> bool:
        records = tuple(records for records in self.records if records.name in sources)
        control = Control((name,), frozenset(sources), records)
        return next(iter(control.unmet(arguments, context)), None) is None

    def _content(self, contexts: Sequence[Context]) -> dict[str, str]:
        """Give the lowest limits that the content of every call keeps."""
        block: dict[str, str] = {}
        for links in ("none", "traced"):
            if self._kept(Content(links=links, records=self.records), contexts):
                block["links"] = links
                break
        for limit in (Confidentiality.PUBLIC, Confidentiality.PRIVATE):
            if self._kept(Content(limit), contexts):
                block["max_confidentiality"] = limit.name.lower()
                break
        return block

    def _kept(self, content: Content, contexts: Sequence[Context]) -> bool:
        return all(next(iter(content.unmet(context)), None) is None for context in contexts)


def _why(does: frozenset[Does], found: Narrowed) -> str:
    """Say why a tool is not simply allowed, if so."""
    if found.open:
        return f"nothing could be demanded of {', '.join(found.open)}"
    if does == WORST:
        return "nothing says what the tool does: describe it under `effects`"
    if reaching := sorted(does & REACHING):
        return f"it does {', '.join(reaching)}"
    if Does.NETWORK_READ in does and not any("hosts" in block for block in found.args.values()):
        return "it reads from the network, and an address can carry anything out"
    return ""


def with_records(proposals: Iterable[Proposal], records: Iterable[Records]) -> Iterator[str]:
    """Name the trusted records that proposals speak of."""
    named = {
        source
        for proposal in proposals
        for sources in proposal.rule.get("flow", {}).get("control", {}).values()
        for source in sources
    }
    yield from (each.name for each in records if each.name in named)
