"""One source of tools: its scopes, what its tools do, and how their outputs are labelled."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from blastwall.policy.doing import effects
from blastwall.policy.globs import starts
from blastwall.policy.messages import does as message_does
from blastwall.policy.messages import is_message
from blastwall.policy.rules import Rule, covered
from blastwall.provenance import Labels
from blastwall.screening import Screening
from blastwall.values import WORST_CASE, Annotations, Does, Server

REMEMBERED = 4096
"""Tools per connector whose rules are kept; more are looked up anew, so memory stays bounded."""

Globs = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Connector:
    """One source of tools, and its scopes.

    Attributes:
        name: Its name in the policy.
        rules: The scopes.
        match: Globs of the tools that belong to it without being told.
        trust_annotations: Whether what its server says of its tools may loosen something.
        directory: Where relative paths start.
        server: The MCP server behind it.
        screening: How its outputs are screened.
        effect_of: What its tools do, by globs.
        outputs: How their outputs are labelled, by globs.
        unlabelled: The labels of all other outputs.
        pins: The fingerprints of its tools; where there are some, it has no other tools.
        first_use: Whether all that its server says of itself is pinned as it is first seen.

    """

    name: str
    rules: tuple[Rule, ...]
    match: Globs
    trust_annotations: bool
    directory: Path | None
    server: Server | None
    screening: Screening
    effect_of: tuple[tuple[Globs, frozenset[Does]], ...]
    outputs: tuple[tuple[Globs, Labels], ...]
    unlabelled: Labels
    pins: Mapping[str, str]
    first_use: bool
    _candidates: dict[tuple[str, Annotations], tuple[Rule, ...]] = field(
        init=False, default_factory=dict, compare=False, repr=False
    )
    _labels: dict[str, Labels] = field(init=False, default_factory=dict, compare=False, repr=False)
    _starts: dict[str, list[int]] = field(init=False, default_factory=dict, compare=False, repr=False)

    @property
    def traces(self) -> bool:
        """Whether any of its rules looks at where data came from."""
        return any(rule.flow for rule in self.rules)

    def candidates(self, tool: str, stated: Annotations) -> tuple[Rule, ...]:
        """Give the rules that speak of a tool. Only a trusted connector's own annotations count."""
        annotations = stated if self.trust_annotations else WORST_CASE
        key = (tool, annotations)
        found = self._candidates.get(key)
        if found is None:
            found = tuple(rule for rule in self._near(tool) if rule.covers(tool, annotations))
            if len(self._candidates) < REMEMBERED:
                self._candidates[key] = found
        return found

    def _near(self, tool: str) -> list[Rule]:
        """Give the rules whose globs start like a tool's name: all that could cover it, in their order."""
        if not self._starts:
            self._starts.update(starts([rule.tools for rule in self.rules]))
        lengths = range(min(len(tool), max(map(len, self._starts), default=0)) + 1)
        found = {position for length in lengths for position in self._starts.get(tool[:length], ())}
        return [self.rules[position] for position in sorted(found)]

    def does(self, tool: str, annotations: Annotations) -> frozenset[Does]:
        """Say what a tool does: all that the entries which cover it say, or the worst."""
        entries = [does for globs, does in self.effect_of if covered(tool, globs)]
        if is_message(tool):
            return message_does(tool, entries)
        described = frozenset().union(*entries) if entries else None
        return effects(described, annotations, trusted=self.trust_annotations)

    def labelled(self, tool: str) -> bool:
        """Say whether an entry of its own speaks of a tool's outputs."""
        return any(covered(tool, globs) for globs, _ in self.outputs)

    def labels(self, tool: str) -> Labels:
        """Say how a tool's outputs are labelled: as the strictest of the entries which cover it."""
        found = self._labels.get(tool)
        if found is None:
            entries = [labels for globs, labels in self.outputs if covered(tool, globs)]
            found = Labels.strictest(entries) if entries else self.unlabelled
            if len(self._labels) < REMEMBERED:
                self._labels[tool] = found
        return found

    def pinned(self, tool: str, fingerprint: str) -> bool:
        """Say whether a tool is the one that the policy's author looked at. Messages have nothing to pin."""
        return not self.pins or is_message(tool) or self.pins.get(tool) == fingerprint
