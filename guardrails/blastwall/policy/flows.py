"""What a rule demands of where the data of a call came from: who may steer it, what may leave with it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from blastwall.frozen import FrozenDict, Json
from blastwall.policy.records import Records
from blastwall.provenance import Context, Origin, Traced
from blastwall.values import Charge, Confidentiality, Integrity, Reason

SOURCES = ("prompt", "typed", "bound", "unmentioned", "internal")
"""What may steer an argument, beside the names of trusted records."""

SHORT = 4
"""Texts of fewer characters carry too little to be called confidential: they are everywhere."""

Unmet = tuple[Reason, str]
"""Why a demand is not met, safe to show: it names arguments and fields and quotes neither."""


@dataclass(frozen=True, slots=True)
class Control:
    """Who may choose the value of one argument.

    Attributes:
        path: The argument's name, then names inside it; `*` stands for every argument that has no entry
            of its own and is not declared content.
        sources: The members of `SOURCES` that may.
        records: Trusted values that may always be used.
        but: The arguments that `*` leaves out.

    """

    path: tuple[str, ...]
    sources: frozenset[str]
    records: tuple[Records, ...] = ()
    but: tuple[tuple[str, ...], ...] = ()

    def unmet(self, arguments: FrozenDict, context: Context) -> Iterator[Unmet]:
        """Give what steers the argument and may not."""
        if len(self.path) > 1 and ".".join(self.path) in arguments:
            yield Reason.FLOW, f"{'.'.join(self.path)} is written in a form that can't be followed"
        for leaf in context.traced:
            if self._rules(leaf) and not self._steered(leaf):
                yield Reason.FLOW, f"{place(leaf)} must come from {self.expectation}, {_seen(leaf)}"

    @property
    def expectation(self) -> str:
        """The sources in words."""
        words = [_WORDS[source] for source in SOURCES if source in self.sources]
        return " or ".join([*words, *(f"the trusted {records.name}" for records in self.records)])

    def _rules(self, leaf: Traced) -> bool:
        if self.path == ("*",):
            return not any(_within(leaf, other) for other in self.but)
        return _within(leaf, self.path)

    def _steered(self, leaf: Traced) -> bool:
        if leaf.value in (None, "") or self._vouched(leaf.value, leaf.whole):
            return True
        return self._list(leaf)

    def _list(self, leaf: Traced) -> bool:
        """Say whether the text is nothing but links, each of which may steer."""
        if not leaf.links or not isinstance(leaf.value, str):
            return False
        rest = leaf.value
        for link in leaf.links:
            rest = rest.replace(link.text, "", 1)
        return not rest.strip(" ,;<>") and all(self._vouched(link.text, link.origins) for link in leaf.links)

    def _vouched(self, value: Json, origins: tuple[Origin, ...]) -> bool:
        if any(records.covers(value) for records in self.records):
            return True
        return any(self._trusted(origin, origins) for origin in origins)

    def _trusted(self, origin: Origin, beside: tuple[Origin, ...]) -> bool:
        integrity = origin.label.integrity
        if integrity is Integrity.PROMPT and "prompt" in self.sources:
            return True
        if "internal" in self.sources and integrity >= Integrity.INTERNAL:
            return True
        if integrity < Integrity.TYPED:
            return False
        if "typed" in self.sources:
            return True
        if "bound" in self.sources and origin.bound:
            return True
        return "unmentioned" in self.sources and not any(map(_mention, beside))


def _mention(origin: Origin) -> bool:
    return origin.prose and origin.label.integrity is Integrity.EXTERNAL


_WORDS = {
    "prompt": "the user's words",
    "typed": "a typed field",
    "bound": "a typed field of a record that the user's words name",
    "unmentioned": "a typed field that no outside text mentions",
    "internal": "an inside source",
}


@dataclass(frozen=True, slots=True)
class Content:
    """How far what is in the arguments may flow.

    Attributes:
        limit: The highest confidentiality that may leave.
        links: `traced` (every link may steer by itself), `none` or `any`.
        records: Trusted values, for links.

    """

    limit: Confidentiality = Confidentiality.SECRET
    links: str = "any"
    records: tuple[Records, ...] = ()

    def unmet(self, context: Context) -> Iterator[Unmet]:
        """Give what may not leave."""
        for leaf in context.traced:
            level = confidentiality(leaf, context)
            if level > self.limit:
                yield Reason.FLOW, f"{place(leaf)} holds something {level.name.lower()}, {_seen(leaf)}"
            yield from self._links(leaf)

    def _links(self, leaf: Traced) -> Iterator[Unmet]:
        if self.links == "none" and leaf.links:
            yield Reason.FLOW, f"{place(leaf)} must hold no link or address"
        if self.links != "traced":
            return
        for link in leaf.links:
            known = any(origin.label.integrity >= Integrity.INTERNAL for origin in link.origins)
            if not known and not any(records.covers(link.text) for records in self.records):
                yield Reason.FLOW, f"{place(leaf)} holds a link that comes from outside, or from nowhere"


def confidentiality(leaf: Traced, context: Context) -> Confidentiality:
    """Say how secret one value of the arguments is. What the user wrote may be sent where the user wants."""
    if any(origin.label.integrity is Integrity.PROMPT for origin in leaf.whole):
        return Confidentiality.PUBLIC
    known = [origin.label.confidentiality for origin in leaf.parts]
    if len(str(leaf.value)) >= SHORT:
        known.extend(origin.label.confidentiality for origin in leaf.whole)
        if context.forgotten and not leaf.whole and isinstance(leaf.value, str):
            known.append(context.confidentiality)
    return max(known, default=Confidentiality.PUBLIC)


@dataclass(frozen=True, slots=True)
class Bounded:
    """How much of a number all calls of a rule together may come to."""

    path: tuple[str, ...]
    max_sum: float
    per_s: float | None = None

    def unmet(self, arguments: FrozenDict) -> Iterator[Unmet]:
        """Say what is wrong with the number, if something is."""
        if self.amount(arguments) is None:
            yield Reason.FLOW, f"{'.'.join(self.path)} must be a number that is not negative"

    def amount(self, arguments: FrozenDict) -> float | None:
        """Give the number, or None where there is none that can be counted."""
        value: Json = arguments
        for name in self.path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            return None
        return float(value)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user's own words must ask for."""

    verbs: tuple[str, ...]
    objects: tuple[str, ...] = ()
    count: bool = False

    def unmet(self, context: Context) -> Iterator[Unmet]:
        """Say that the user did not ask for it, if so."""
        if context.intent.asked(self.verbs, self.objects) == 0:
            yield Reason.INTENT, f"the user did not ask to {' or '.join(self.verbs[:3])} anything"


@dataclass(frozen=True, slots=True)
class Flow:
    """All that one rule demands of the data of a call and of the user's words."""

    controls: tuple[Control, ...] = ()
    content: Content | None = None
    bounded: tuple[Bounded, ...] = ()
    wanted: Wanted | None = None

    def unmet(self, arguments: FrozenDict, context: Context) -> Iterator[Unmet]:
        """Give every demand that the call does not meet."""
        if self.wanted:
            yield from self.wanted.unmet(context)
        for control in self.controls:
            yield from control.unmet(arguments, context)
        if self.content:
            yield from self.content.unmet(context)
        for bound in self.bounded:
            yield from bound.unmet(arguments)

    def charges(self, rule: str, arguments: FrozenDict, context: Context, *, ask: bool) -> Iterator[Charge]:
        """Give what the call uses up of this rule's sums, and of what the user asked for."""
        for bound in self.bounded:
            amount = bound.amount(arguments)
            if amount is not None:
                key = f"{rule} sum {'.'.join(bound.path)}"
                yield Charge(key, bound.max_sum, amount, bound.per_s, ask)
        if self.wanted and self.wanted.count:
            count = context.intent.asked(self.wanted.verbs, self.wanted.objects)
            if count is not None:
                yield Charge(f"{rule} asked for", count, ask=ask)


def place(leaf: Traced) -> str:
    """Name the argument that a value stands in."""
    return ".".join(map(str, leaf.path))


def _within(leaf: Traced, path: tuple[str, ...]) -> bool:
    names = tuple(step for step in leaf.path if isinstance(step, str))
    return names[: len(path)] == path


def _seen(leaf: Traced) -> str:
    seen = leaf.whole or leaf.parts
    if not seen:
        return "and was seen nowhere"
    return f"and was seen in {' and '.join(dict.fromkeys(map(str, seen[:3])))}"
