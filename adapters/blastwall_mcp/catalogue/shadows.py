"""One connector in the clothes of another: names that read alike, texts that speak of others' tools.

The model reads every server's words in one context, so a description can order what another server's tool
is used for ("tool shadowing"). What speaks of another connector is barred, whatever it says.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from blastwall_mcp.catalogue.entries import Entry, Kind
from blastwall_mcp.catalogue.names import SEPARATOR, letters, owner, reads_as
from blastwall_mcp.catalogue.speech import Speech, is_distinctive, joined, key

NAMED: tuple[Kind, ...] = ("tools", "prompts")
"""What has an exposed name of its own; a resource is called by its URI."""

Owners = Mapping[str, set[str]]


class Shadows:
    """What all connectors call themselves and their tools, and who speaks of whom."""

    def __init__(
        self, connectors: Iterable[str], entries: Sequence[Entry], separator: str = SEPARATOR
    ) -> None:
        """Take all connectors of the policy, and what those that answered have listed."""
        named = [entry for entry in entries if entry.kind in NAMED]
        self._separator = separator
        self._connectors = tuple(connectors)
        self._plain = {e.name.casefold() for e in named}
        self._own = _owners((key(e.name), e.connector) for e in named)
        self._distinctive = {name: self._own[name] for name in self._own if is_distinctive(name)}
        self._qualified = _owners((joined(f"{e.connector}__{e.name}"), e.connector) for e in named)
        self._exposed = _owners((e.exposed.casefold(), e.connector) for e in named)
        self._servers = _owners((key(connector), connector) for connector in self._connectors)
        self._telling = {name: self._servers[name] for name in self._servers if is_distinctive(name)}
        self._readings = _owners((self._reading(e), e.connector) for e in named)

    def spoken(self, connector: str, speech: Speech) -> str | None:
        """Say whom else a text of this connector speaks of, or None."""
        for said, owners, what in (
            (speech.qualified, self._qualified, "a tool of connector"),
            (speech.qualified, self._exposed, "a tool of connector"),
            (speech.names, self._distinctive, "a tool of connector"),
            (speech.pointed, self._own, "a tool of connector"),
            (speech.pointed | speech.servers, self._servers, "connector"),
            (speech.names, self._telling, "connector"),
        ):
            for name in said & owners.keys():
                if connector not in owners[name] and connector not in self._own.get(name, ()):
                    return f"it speaks of {what} {min(owners[name])}"
        return None

    def why(self, entry: Entry) -> str | None:
        """Say why an entry can be taken for something of another connector, or None."""
        if entry.kind in NAMED and (named := self._named_like(entry)):
            return named
        spoken = self.spoken(entry.connector, entry.speech)
        return f"{spoken}, which only that connector's own texts may" if spoken else None

    def _named_like(self, entry: Entry) -> str | None:
        own, exposed = entry.connector, entry.exposed.casefold()
        known = [connector.casefold() for connector in self._connectors]
        if owner(exposed, known, self._separator.casefold()) not in (own.casefold(), None):
            return "its name begins like those of another connector"
        others = self._readings[self._reading(entry)] - {own}
        if others and (self._intrudes(entry) or not self._only_intruders(entry, others)):
            return f"its name reads like one of connector {min(others)}"
        if self._exposed.get(entry.name.casefold(), {own}) != {own}:
            return "its name is what a tool of another connector is called here"
        if self._disguised(entry):
            return "its name is that of another tool in other letters"
        return None

    def _reading(self, entry: Entry) -> str:
        return f"{entry.kind}/{reads_as(f'{entry.connector} {entry.name}')}"

    def _intrudes(self, entry: Entry) -> bool:
        """Say whether a name reads as one of a longer connector's, so that it is the one to give way."""
        return self._reads_as_of(entry) not in (reads_as(entry.connector), None)

    def _only_intruders(self, entry: Entry, others: set[str]) -> bool:
        claimed = self._reads_as_of(entry)
        return claimed is not None and all(reads_as(other) != claimed for other in others)

    def _reads_as_of(self, entry: Entry) -> str | None:
        reading = reads_as(f"{entry.connector} {entry.name}")
        return owner(reading, [reads_as(connector) for connector in self._connectors], "_")

    def _disguised(self, entry: Entry) -> bool:
        plain = letters(entry.name)
        return plain != entry.name and plain.casefold() in self._plain


def _owners(pairs: Iterable[tuple[str, str]]) -> defaultdict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name, connector in pairs:
        found[name].add(connector)
    return found
