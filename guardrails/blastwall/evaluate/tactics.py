"""How an attacker words an order, where it is planted and which calls it wants; by default the plain way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blastwall.evaluate.world import Order, Step

Steps = Sequence[Step]


def _as_it_is(text: str, goal: Steps) -> str:
    return text


def _everywhere(data: Any, words: Mapping[str, str], goal: Steps) -> Any:
    return replaced(data, words)


def _wanted(orders: Sequence[Order], user: Steps, prompt: str) -> Sequence[Order]:
    return orders


def unchanged(step: Step, goal: Steps) -> Step:
    """Leave the user's call as it is."""
    return step


@dataclass(frozen=True, slots=True)
class Tactic:
    """What one attacker does. `goal` is always the calls that the plain attacker would want.

    Attributes:
        name: What reports call it.
        meaning: What it does, in a line.
        words: Rewords the text to be planted.
        place: Puts the words in the place of the canaries in the environment's data.
        orders: Gives the calls that are wanted, knowing the user's calls and words too.
        ride: Changes the user's next call.
        persists: Whether refused calls are tried again after each of the user's calls.

    """

    name: str
    meaning: str
    words: Callable[[str, Steps], str] = _as_it_is
    place: Callable[[Any, Mapping[str, str], Steps], Any] = _everywhere
    orders: Callable[[Sequence[Order], Steps, str], Sequence[Order]] = _wanted
    ride: Callable[[Step, Steps], Step] = unchanged
    persists: bool = False


PLAIN = Tactic("plain", "plants the order as it is")


def replaced(data: Any, words: Mapping[str, str]) -> Any:
    """Copy data, with each of the keys of `words` inside its texts replaced."""
    if isinstance(data, str):
        for canary, text in words.items():
            data = data.replace(canary, text)
        return data
    if isinstance(data, dict):
        return {replaced(key, words): replaced(item, words) for key, item in data.items()}
    if isinstance(data, list):
        return [replaced(item, words) for item in data]
    return data
