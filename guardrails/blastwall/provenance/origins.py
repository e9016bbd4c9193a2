"""Where the values of a call were seen before: what the memory of a session tells the policy."""

from dataclasses import dataclass
from enum import Enum
from string import ascii_letters, digits

from blastwall.frozen import Json
from blastwall.provenance.intent import Intent
from blastwall.values import Confidentiality, Integrity, Label

Path = tuple[str | int, ...]
"""Keys and positions on the way to a value, from the arguments or from an output's root."""


class How(Enum):
    """In which form a value was found. What is found in a weaker form is found all the same."""

    EXACT = "exact"
    NORMALISED = "normalised"
    PART = "part"
    LINK = "link"
    JOINED = "joined"
    DECODED = "decoded"


@dataclass(frozen=True, slots=True)
class Origin:
    """One place where a value, or a piece of one, stood before this call.

    Attributes:
        tool: `connector.tool` whose output it was; empty for the user's own words.
        turn: Which of the session's prompts and outputs, counted from 1.
        path: Where in that output.
        label: The label of that place.
        how: In which form it was found.
        prose: Whether it stood inside a longer text, rather than being all that the place holds.
        bound: Whether the record around it is one that the user's words name.

    """

    tool: str
    turn: int
    path: str
    label: Label
    how: How = How.EXACT
    prose: bool = False
    bound: bool = False

    def __str__(self) -> str:
        if not self.tool:
            return "the user's words"
        levels = f"{self.label.integrity.name.lower()}, {self.label.confidentiality.name.lower()}"
        return f"{self.tool} {plain(self.path)} ({levels}; {self.how.value})"


def plain(path: str) -> str:
    """Give a path that may be shown to the model: keys are a tool's words too, and can be whole sentences."""
    return path if len(path) <= _LONGEST_PATH and set(path) <= _PLAIN else "$..."


_LONGEST_PATH = 48
_PLAIN = frozenset(ascii_letters + digits + "$._[]-")


@dataclass(frozen=True, slots=True)
class Link:
    """A URL or mail address inside a text, and where it was seen as a whole."""

    text: str
    origins: tuple[Origin, ...] = ()


@dataclass(frozen=True, slots=True)
class Traced:
    """One scalar of a call's arguments.

    Attributes:
        path: Where it stands in the arguments.
        value: The scalar.
        whole: Where all of it was seen.
        parts: Where pieces of it were seen that are too long or too odd to be chance.
        links: The links inside it.

    """

    path: Path
    value: Json
    whole: tuple[Origin, ...] = ()
    parts: tuple[Origin, ...] = ()
    links: tuple[Link, ...] = ()


_SILENT = Intent()


@dataclass(frozen=True, slots=True)
class Context:
    """What a session knows that bears on one call.

    Attributes:
        traced: Every scalar of the arguments; empty where the policy asked for none.
        intent: The user's own words, read.
        integrity: The lowest integrity of all that the agent has seen.
        confidentiality: The highest confidentiality of all that it has seen.
        forgotten: Whether something that it has seen can no longer be traced.

    """

    traced: tuple[Traced, ...] = ()
    intent: Intent = _SILENT
    integrity: Integrity = Integrity.PROMPT
    confidentiality: Confidentiality = Confidentiality.PUBLIC
    forgotten: bool = False


NOTHING = Context()
"""A session that has seen nothing and heard nobody."""
