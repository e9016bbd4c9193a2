"""What screening looks for and what it does about each: the families and the user's choices."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from blastwall.frozen import FrozenDict
from blastwall.values import Action


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of marker: its name in findings and policy files, what is done by default, what it means."""

    name: str
    action: Action
    meaning: str


FAMILIES = (
    Family("size", Action.QUARANTINE, "the output is larger than allowed, or nested too deeply"),
    Family("schema", Action.QUARANTINE, "the output is not JSON, or breaks the schema its tool declared"),
    Family("key", Action.QUARANTINE, "a marker stands in an object's key, where nothing can be cut"),
    Family("encoded", Action.QUARANTINE, "an instruction hidden by an encoding or in invisible characters"),
    Family("override", Action.QUARANTINE, "an order to drop the instructions given before"),
    Family("forged-turn", Action.QUARANTINE, "a conversation turn forged with a chat template's tokens"),
    Family("forged-message", Action.QUARANTINE, "a forged message of the agent's own harness"),
    Family("delimiter", Action.QUARANTINE, "a line that pretends that the output ends here"),
    Family("hidden-unicode", Action.REDACT, "invisible characters: tags, variation selectors, zero widths"),
    Family("bidi", Action.REDACT, "direction overrides and isolates, which reorder what a person sees"),
    Family("ansi", Action.REDACT, "terminal escape sequences"),
    Family("hidden-html", Action.REDACT, "an HTML comment or hidden element that speaks to an AI reader"),
    Family("image-exfil", Action.REDACT, "a remote image whose address can carry data away"),
    Family("script-link", Action.REDACT, "a link to a javascript: or data: address"),
    Family("override-mention", Action.MARK, "an override phrase that is only quoted, with no order after it"),
    Family("turn-token", Action.MARK, "a special token of a chat template"),
    Family("dialogue", Action.MARK, "a Human/Assistant exchange at the start of lines"),
    Family("tool-call-shape", Action.MARK, "text shaped like a tool call of an agent"),
    Family("authority", Action.MARK, "a claim of authority or approval, addressed to the assistant"),
    Family("secrecy", Action.MARK, "an order to keep something from the user"),
    Family("tool-order", Action.MARK, "an order to call a tool"),
    Family("persona", Action.MARK, "an order to become somebody else"),
    Family("memory", Action.MARK, "an order to remember something for later sessions"),
    Family("data-request", Action.MARK, "an order to print or send credentials, files or messages"),
)
"""Every family, strictest first. The documentation's table is made from this."""

DEFAULT_ACTIONS: Mapping[str, Action] = FrozenDict({family.name: family.action for family in FAMILIES})
FIXED = ("size", "schema", "key")
"""Families that are always quarantined: there is nothing to cut out and nothing safe to show."""


@dataclass(frozen=True, slots=True)
class Screening:
    """How outputs of one rule or connector are screened.

    Attributes:
        max_bytes: Most bytes of an output: text in UTF-8, and 8 for every other value. 1 MiB is about
            250,000 tokens, more than most models can read. Ordinary text of that size is screened in some
            tens of milliseconds; the worst text found, nothing but markers to cut, takes about 4 seconds.
        actions: What to do instead of a family's default.

    """

    max_bytes: int = 1024 * 1024
    actions: Mapping[str, Action] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse settings that name no family or that would show what can't be shown.

        Raises:
            ValueError: naming the setting.

        """
        if self.max_bytes < 1:
            raise ValueError("max_bytes must be at least 1")
        for name, action in self.actions.items():
            if name not in DEFAULT_ACTIONS:
                raise ValueError(f"no family is called {name!r}; there are: {', '.join(DEFAULT_ACTIONS)}")
            if name in FIXED and action is not Action.QUARANTINE:
                raise ValueError(f"the family {name!r} can only be quarantined")
        object.__setattr__(self, "actions", FrozenDict(self.actions))

    def action(self, family: str) -> Action:
        """Say what is done with a finding of `family`."""
        return self.actions.get(family, DEFAULT_ACTIONS[family])
