"""One place where the agent saw a value, and how few of them are worth keeping."""

from collections.abc import Iterable
from dataclasses import dataclass

from blastwall.provenance.labels import Record
from blastwall.provenance.origins import How, Origin
from blastwall.values import Label

KEPT = 32
"""Sightings of one value that are kept, of each label at least one: the newer stand for the older."""


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """One field or text of one output.

    Attributes:
        tool, turn, label: As an `Origin` has them.
        place, step: Where it stood: what is around it, and which of that.
        record: The object around it.
        written: How a short value was written, for it is kept in its form.
        encoded: Whether it was read out of an encoded run.

    """

    tool: str
    turn: int
    label: Label
    place: str
    step: str
    record: Record
    written: str = ""
    encoded: bool = False

    def origin(self, how: How, *, prose: bool = False, bound: bool = False) -> Origin:
        """Give it as the place that a value comes from."""
        shown = How.DECODED if self.encoded else how
        return Origin(self.tool, self.turn, self.place + self.step, self.label, shown, prose, bound)


Sightings = Sighting | tuple[Sighting, ...]
"""One sighting, or the newest of each label."""


def newest(kept: Sightings, sighting: Sighting) -> Sightings:
    """Add one sighting, which takes the place of the one with its label."""
    others = tuple(s for s in each(kept) if s.label != sighting.label)
    return (*others, sighting) if others else sighting


def each(kept: Sightings | None) -> tuple[Sighting, ...]:
    """Give them as a tuple."""
    if kept is None:
        return ()
    return kept if isinstance(kept, tuple) else (kept,)


def keep(kept: Sighting | list[Sighting] | None, sighting: Sighting) -> Sighting | list[Sighting]:
    """Add one sighting of a whole value; when there are too many, the oldest with a label of several goes."""
    if kept is None:
        return sighting
    if isinstance(kept, Sighting):
        return [kept, sighting]
    kept.append(sighting)
    if len(kept) > KEPT:
        labels = [s.label for s in kept]
        del kept[next(i for i, label in enumerate(labels) if labels.count(label) > 1)]
    return kept


def fewest(origins: Iterable[Origin]) -> tuple[Origin, ...]:
    """Keep the newest origin of each kind, the most trusted first."""
    kinds: dict[tuple[object, ...], Origin] = {}
    for origin in origins:
        kind = (origin.tool == "", origin.label, origin.prose, origin.bound)
        if kind not in kinds or kinds[kind].turn <= origin.turn:
            kinds[kind] = origin
    return tuple(sorted(kinds.values(), key=lambda o: (-o.label.integrity, -o.label.confidentiality)))
