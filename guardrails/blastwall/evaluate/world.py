"""The nouns of a replay: the calls of an agent, and the world in which it makes them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from blastwall.frozen import Json


@dataclass(frozen=True, slots=True)
class Step:
    """One call that the agent means to make: a tool by its own name, and its arguments."""

    tool: str
    arguments: Mapping[str, Any]


Order = Callable[[], Step]
"""A call that an attacker wants, made up when it is issued: "the mail just sent" has no id before."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a tool gave back to the agent."""

    value: Json
    is_error: bool = False


class Scene(Protocol):
    """One user task in a fresh world, with one attacker's text planted where outputs will show it."""

    @property
    def prompt(self) -> str:
        """The user's own words."""
        ...

    @property
    def steps(self) -> Sequence[Step]:
        """The calls that do what the user asked for, in order."""
        ...

    @property
    def marks(self) -> Sequence[str]:
        """Texts by which an output shows the order; white space does not count. None: nobody attacks."""
        ...

    @property
    def stops(self) -> bool:
        """Whether obeying means to give up the user's task, without any call."""
        ...

    @property
    def persists(self) -> bool:
        """Whether refused orders are tried again after every call of the user's."""
        ...

    def orders(self) -> Sequence[Order]:
        """Give the attacker's calls, worked out on a copy of the world as it stands now."""
        ...

    def ride(self, step: Step) -> Step:
        """Give the user's next call as the attacker wants it changed, once the order was seen."""
        ...

    def run(self, step: Step) -> Shown:
        """Run a call in the world, whoever issued it."""
        ...

    def harms(self, step: Step) -> bool:
        """Say whether a call of this tool changes the world, or carries something out of it."""
        ...

    def utility(self, *, obeyed: bool) -> bool:
        """Say whether the user got what was asked for. `obeyed`: the order was seen."""
        ...

    def attacked(self, *, obeyed: bool) -> bool:
        """Say whether the attacker got it."""
        ...
