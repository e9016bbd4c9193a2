"""The guards that are compared: none, the scan for markers alone, and a policy with and without a person."""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from blastwall.evaluate.agent import Hands
from blastwall.evaluate.people import Bin, Person, Purse, Tape
from blastwall.guard import Guard
from blastwall.policy import Policy
from blastwall.policy.layers import Layered
from blastwall.policyfile import load
from blastwall.screening.settings import FAMILIES, FIXED
from blastwall.session import Session


class Way(Enum):
    """One way to guard the same agent."""

    NONE = "none"
    MARKERS = "markers"
    SCOPES = "scopes"
    SCOPES_ATTENDED = "scopes+user"
    FULL = "blastwall"
    FULL_ATTENDED = "blastwall+user"

    @property
    def meaning(self) -> str:
        """What it is, for people."""
        return _MEANING[self]

    @property
    def attended(self) -> bool:
        """Whether an ideal user answers; else every ask is a no."""
        return self in (Way.SCOPES_ATTENDED, Way.FULL_ATTENDED)


_MEANING = {
    Way.NONE: "no guard",
    Way.MARKERS: "the scan for markers alone; every call is allowed",
    Way.SCOPES: "scopes and provenance, screening off; every ask is a no",
    Way.SCOPES_ATTENDED: "the same, and an ideal user answers",
    Way.FULL: "scopes, provenance and screening; every ask is a no",
    Way.FULL_ATTENDED: "the same, and an ideal user answers",
}
_NO_SCREEN = {family.name: "pass" for family in FAMILIES if family.name not in FIXED}
_EVERYTHING = [{"id": "everything", "effect": "allow", "tools": ["*"]}]


@dataclass(frozen=True, slots=True)
class Post:
    """A policy compiled for one way: it makes fresh hands for every run, so that no run learns of another."""

    way: Way
    policy: Policy | Layered

    def hands(self) -> Hands:
        """Give a session of its own, with its own memory and budgets."""
        person, tape = Person(attends=self.way.attended), Tape()
        guard = Guard(self.policy, audit=tape, quarantine=Bin(), ledger=Purse(), ask=person)
        return Hands(Session(guard), person, tape, self._connector)

    def _connector(self, tool: str) -> str:
        return self.policy.connector_of(tool) or ""


def post(file: Path, way: Way) -> Post | None:
    """Compile a policy file for a way; None for the way that has no guard."""
    if way is Way.NONE:
        return None
    if way in (Way.FULL, Way.FULL_ATTENDED):
        return Post(way, load(file))
    change = _permissive if way is Way.MARKERS else _unscreened
    with tempfile.TemporaryDirectory() as folder:
        changed = Path(folder) / file.name
        changed.write_text(json.dumps(change(yaml.safe_load(file.read_text("utf-8")))), "utf-8")
        return Post(way, load(changed))


Change = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def _permissive(policy: Mapping[str, Any]) -> Mapping[str, Any]:
    connectors = {
        name: {"match": block["match"], "rules": _EVERYTHING} for name, block in policy["connectors"].items()
    }
    return {"version": 1, "connectors": connectors}


def _unscreened(policy: Mapping[str, Any]) -> Mapping[str, Any]:
    defaults = {**policy.get("defaults", {}), "screening": {"actions": _NO_SCREEN}}
    connectors = {
        name: {key: value for key, value in block.items() if key != "screening"}
        for name, block in policy["connectors"].items()
    }
    return {**policy, "defaults": defaults, "connectors": connectors}
