"""AgentDojo's suites behind our nouns. It is an extra: nothing of it is imported before it is asked for."""

from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import yaml

from blastwall.errors import BackendError
from blastwall.evaluate.agentdojo import attacks
from blastwall.evaluate.agentdojo.scene import Planted, World
from blastwall.evaluate.tactics import Tactic

VERSION = "v1.2.2"
PACKAGE = "0.1.35"
"""The release whose v1.2.2 was measured. The tasks are code: another release may hold other tasks."""

SUITES = ("banking", "workspace", "slack", "travel")
DEVELOPED = ("banking", "workspace")
"""The suites that were looked at while policies and mechanisms were made; the others were only run."""

_SIZES = {"banking": (16, 9), "workspace": (40, 14), "slack": (21, 5), "travel": (20, 7)}


def policy(suite: str) -> Path:
    """Give the policy file of a suite."""
    return Path(__file__).parent / f"{suite}.yaml"


@cache
def suites() -> Mapping[str, "Suite"]:
    """Load the pinned suites.

    Raises:
        BackendError: when AgentDojo is not installed, or is not the release that was pinned.

    """
    try:
        found = metadata.version("agentdojo")
        loader = import_module("agentdojo.task_suite.load_suites")
    except ImportError:
        raise BackendError(
            "AgentDojo is not installed: `pip install 'blastwall[agentdojo]'` installs the pinned release"
        ) from None
    if found != PACKAGE:
        raise BackendError(
            f"AgentDojo {found} is installed, and figures are comparable for {PACKAGE} only: install that one"
        )
    _quicken()
    loaded = {name: Suite(loader.get_suite(VERSION, name)) for name in SUITES}
    for name, suite in loaded.items():
        if (len(suite.tasks), len(suite.goals)) != _SIZES[name]:
            raise BackendError(f"this is not AgentDojo {VERSION}: suite {name} has other tasks")
    return loaded


def _quicken() -> None:
    """Check each mail address once: a fresh workspace holds hundreds, and pydantic takes 0.1 ms for each."""
    networks: Any = import_module("pydantic.networks")
    if not hasattr(networks.validate_email, "cache_info"):
        networks.validate_email = cache(networks.validate_email)


class Suite:
    """One suite."""

    def __init__(self, inner: Any) -> None:
        """Wrap AgentDojo's own."""
        self._inner = inner
        self.name: str = inner.name
        self.tasks: Sequence[str] = tuple(inner.user_tasks)
        self.goals: Sequence[str] = tuple(inner.injection_tasks)
        self.tools: Sequence[str] = tuple(tool.name for tool in inner.tools)

    def scene(
        self, task: str, goal: str | None = None, attack: str = "", tactic: Tactic | None = None
    ) -> World:
        """Set one task up afresh, with `goal` planted in the words of `attack`; alone without a goal.

        Args:
            task: The user's task.
            goal: The attacker's.
            attack: One of `attacks.NAMES`.
            tactic: How an adaptive attacker changes all of it (`blastwall.evaluate.adaptive`).

        """
        user = self._inner.user_tasks[task]
        if goal is None:
            return World(self._inner, user, Planted(self._data(())))
        injection = self._inner.injection_tasks[goal]
        planned = self._attacks(attack).attack(user, injection)
        data = self._data(tuple(sorted(planned)))
        words = {canary(vector): text for vector, text in planned.items()}
        marks = (next(iter(words.values())),) if attack in attacks.TEXT_ONLY else (injection.GOAL,)
        planted = Planted(data, injection, words, marks, stops=attack in attacks.TEXT_ONLY)
        return World(self._inner, user, planted, tactic)

    @cache  # noqa: B019  # a suite lives as long as the program
    def _attacks(self, name: str) -> Any:
        made = attacks.make(name, self._inner)
        made.get_injection_candidates = self._reached
        return made

    @cache  # noqa: B019  # likewise
    def _reached(self, user: Any) -> list[str]:
        """Name the places that the user's own calls show: AgentDojo's answer, for all attacks at once."""
        every = tuple(self._defaults)
        world = World(self._inner, user, Planted(self._data(every)))
        shown = " ".join(str(world.run(step).value) for step in world.steps)
        return [vector for vector in every if canary(vector) in shown]

    @cache  # noqa: B019  # likewise
    def _data(self, vectors: tuple[str, ...]) -> Any:
        """Parse the environment, with a canary in the place of each of `vectors`."""
        words = self._defaults | {vector: canary(vector) for vector in vectors}
        return yaml.load(self._text.format(**words), yaml.CSafeLoader)  # it is a safe loader

    @cached_property
    def _text(self) -> str:
        reader = import_module("agentdojo.task_suite.task_suite").read_suite_file
        text: str = reader(self.name, "environment.yaml", self._inner.data_path)
        return text

    @cached_property
    def _defaults(self) -> dict[str, str]:
        return dict(self._inner.get_injection_vector_defaults())


def canary(vector: str) -> str:
    """Give the text that stands where a vector's words will be planted."""
    return f"BLASTWALL-CANARY-{vector}-END"
