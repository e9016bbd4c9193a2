"""How the fields of an output are labelled."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from string import ascii_letters, digits

from blastwall.frozen import Json
from blastwall.provenance import envelope
from blastwall.provenance.normal import text_of
from blastwall.provenance.steps import Patterns, State, literal
from blastwall.values import Confidentiality, Integrity, Label

_PLAIN = frozenset(ascii_letters + digits + "_-")
_LONGEST_KEY = 40
_LABEL = Label()


@dataclass(frozen=True, slots=True)
class FieldRule:
    """The label of the fields that a pattern names.

    Attributes:
        pattern: Dotted keys; `*` one key, `**` any number, `|` alternatives inside a step.
        integrity: The integrity, or None to leave the output's; TYPED only with a format.
        confidentiality: The confidentiality, or None to leave the output's.
        format: What a typed value must pass. What does not is as the output's default, never above INTERNAL.

    """

    pattern: str
    integrity: Integrity | None = None
    confidentiality: Confidentiality | None = None
    format: Callable[[Json], bool] | None = None

    def of(self, value: Json, default: Integrity) -> Integrity | None:
        """Give the integrity of a value in this field; None leaves it to others."""
        if self.integrity is None and self.format is None:
            return None
        if self.format is None:
            return default if self.integrity is Integrity.TYPED else self.integrity
        if not self.format(value):
            return min(default, Integrity.INTERNAL)
        return Integrity.TYPED if self.integrity is None else self.integrity


@dataclass(slots=True)
class Record:
    """The object nearest around a field: what its typed fields say tells which record it is."""

    typed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One scalar of an output, or a key of one of its objects.

    Attributes:
        place, step: Where it stands: what is around it, and which of that. A key is written out only if it is
            short and plain, for it may be anybody's words.
        value: The scalar.
        label: Its label.
        record: The object that it is a field of.
        raw: Whether it is the text of a document, whose fields come as leaves of their own.

    """

    place: str
    step: str
    value: Json
    label: Label
    record: Record
    raw: bool = False

    @property
    def path(self) -> str:
        """All of the path."""
        return self.place + self.step


@dataclass(frozen=True, slots=True)
class Labels:
    """The label of an output, and of its fields where they differ.

    Attributes:
        default: The label of all that no field speaks of, keys included.
        fields: The fields. Where several speak of a value, the strictest holds.
        beside: Other labels that hold as well, the strictest of all of them for every value.

    """

    default: Label = _LABEL
    fields: tuple[FieldRule, ...] = ()
    beside: tuple["Labels", ...] = ()

    @classmethod
    def strictest(cls, several: Iterable["Labels"]) -> "Labels":
        """Combine: of every field the lowest integrity and the highest confidentiality."""
        every = tuple(dict.fromkeys(several))
        if len(every) == 1:
            return every[0]
        return cls(strictest(labels.default for labels in every), (), every)

    @property
    def _opens(self) -> bool:
        """Whether a field is less confidential than the rest, so that a whole document has no one label."""
        levels = (rule.confidentiality for rule in self.fields if rule.confidentiality is not None)
        return any(each._opens for each in self.beside) or any(
            level < self.default.confidentiality for level in levels
        )

    def leaves(self, output: Json) -> Iterator[Leaf]:
        """Go through the scalars of an output, each with its path, its label and its record.

        Documents in strings and the results of MCP servers are looked into: fields are named from the root of
        what is inside.
        """
        walk = _Walk(self)
        for part in envelope.parts(output):
            if part.raw and not self._opens:
                yield Leaf(part.path, "", part.raw, self.default, Record(), raw=True)
            yield from walk.value(part.path, "", part.value, walk.start, Record())


def strictest(labels: Iterable[Label]) -> Label:
    """Give the lowest integrity and the highest confidentiality; of no label the one that permits most."""
    every = tuple(labels)
    return Label(
        min((label.integrity for label in every), default=Integrity.PROMPT),
        max((label.confidentiality for label in every), default=Confidentiality.PUBLIC),
    )


class _Fields:
    """The fields of one `Labels`, compiled."""

    __slots__ = ("_at", "_default", "_rules", "named", "patterns")

    def __init__(self, default: Label, rules: tuple[FieldRule, ...]) -> None:
        self._default = default
        self._rules = rules
        self._at: dict[State, tuple[FieldRule, ...]] = {}
        self.patterns = Patterns([rule.pattern for rule in rules])
        self.named = frozenset().union(*(literal(rule.pattern) for rule in rules))

    def label(self, state: State, value: Json) -> Label:
        matched = self._at.get(state)
        if matched is None:
            matched = self._at[state] = tuple(self._rules[number] for number in self.patterns.matched(state))
        if not matched:
            return self._default
        integrities = [i for rule in matched if (i := rule.of(value, self._default.integrity)) is not None]
        levels = [rule.confidentiality for rule in matched if rule.confidentiality is not None]
        return Label(
            min(integrities, default=self._default.integrity),
            max(levels, default=self._default.confidentiality),
        )


@lru_cache(maxsize=1024)
def _compiled(labels: Labels) -> tuple[_Fields, ...]:
    if not labels.beside:
        return (_Fields(labels.default, labels.fields),)
    return tuple(fields for each in labels.beside for fields in _compiled(each))


States = tuple[State, ...]


class _Walk:
    """One way through an output, all fields followed at once."""

    __slots__ = ("_default", "_fields", "_keys", "_shown", "start")

    def __init__(self, labels: Labels) -> None:
        self._fields = _compiled(labels)
        self._default = labels.default
        self._shown: dict[str, str] = {}
        self._keys: set[str] = set(frozenset.intersection(*(fields.named for fields in self._fields)))
        self.start: States = tuple(fields.patterns.start for fields in self._fields)

    def value(self, place: str, step: str, value: Json, states: States, record: Record) -> Iterator[Leaf]:
        if isinstance(value, Mapping):
            yield from self._object(place + step, value, states)
        elif isinstance(value, tuple | list):
            for position, item in enumerate(value):
                yield from self.value(place + step, f"[{position}]", item, states, record)
        else:
            label = self._label(states, value)
            if label.integrity is Integrity.TYPED and not step.startswith("["):
                # A member of a list says which record it is of nothing: the others beside it least of all.
                record.typed.append(text_of(value))
            yield Leaf(place, step, value, label, record)

    def _object(self, path: str, members: Mapping[str, Json], states: States) -> Iterator[Leaf]:
        record = Record()
        for position, (key, item) in enumerate(members.items()):
            if key not in self._keys:
                self._keys.add(key)
                yield Leaf(path, f".{{{position}}}", key, self._default, _NOWHERE)
            after = tuple(
                fields.patterns.after(state, key) for fields, state in zip(self._fields, states, strict=True)
            )
            yield from self.value(path, self._step(key, position), item, after, record)

    def _step(self, key: str, position: int) -> str:
        shown = self._shown.get(key)
        if shown is None:
            if not (0 < len(key) <= _LONGEST_KEY and _PLAIN.issuperset(key)):
                return f".{{{position}}}"
            shown = self._shown[key] = f".{key}"
        return shown

    def _label(self, states: States, value: Json) -> Label:
        if len(states) == 1:
            return self._fields[0].label(states[0], value)
        return strictest(
            fields.label(state, value) for fields, state in zip(self._fields, states, strict=True)
        )


_NOWHERE = Record()
