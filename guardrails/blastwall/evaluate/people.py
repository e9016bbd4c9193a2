"""Who stands around a guard in a replay: a person who is asked, a log and a quarantine that keep nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence

from blastwall.frozen import Json
from blastwall.state import Counters
from blastwall.values import Answer, Approved, Ask, Charge, Classify, Finding, Rejected, ToolCall, ToolOutput


class Person:
    """Is asked by the guard. The guard never learns whose call it is; only this person knows."""

    def __init__(self, *, attends: bool) -> None:
        """Say whether somebody is there: the ideal user, who wants the user's own calls and no other."""
        self._attends = attends
        self._own = False
        self.prompts = 0
        self.question = ""

    def listen(self, *, own: bool) -> None:
        """Hear whose the next call is."""
        self._own = own
        self.question = ""

    def __call__(self, call: ToolCall, verdict: Ask | Classify) -> Answer:
        """Answer."""
        self.prompts += 1
        self.question = verdict.question
        if self._attends and self._own:
            return Approved(call.digest, "the ideal user")
        return Rejected("the user does not want this" if self._attends else "nobody is there to be asked")


class Tape:
    """An audit log that keeps the last decision only."""

    waits = False

    def __init__(self) -> None:
        """Start empty."""
        self.rule = ""

    def write(
        self, session: str, event: str, call: ToolCall, details: Mapping[str, Json], policy: str = ""
    ) -> None:
        """Keep the rule of a decision."""
        if event == "decision":
            self.rule = str(details.get("rule") or "")


class Bin:
    """A quarantine whose content nobody will read."""

    def keep(self, call: ToolCall, output: ToolOutput, findings: tuple[Finding, ...]) -> str:
        """Forget it."""
        return "none"


class Purse:
    """A ledger of one run: what is counted over time is counted over the run, which is no longer."""

    def __init__(self) -> None:
        """Start with nothing used up."""
        self._used: Counter[str] = Counter()

    def spend(self, charges: Sequence[Charge], counters: Counters) -> Charge | None:
        """Pay all of the charges, or none and give the first that there is not enough for."""
        after = Counter(self._used)
        for charge in charges:
            after[charge.key] += charge.amount  # type: ignore[assignment]  # a sum of money is no whole number
            if after[charge.key] > charge.limit:
                return charge
        self._used = after
        return None
