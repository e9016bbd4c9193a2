"""What a pin holds on to: one fingerprint of all that a model reads of a tool, and that we believe of it."""

from collections.abc import Callable, Mapping

from blastwall.frozen import Json, canonical, digest, freeze

READ = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
"""The parts of a definition that count, by MCP's names. `_meta` and `icons` don't: no model reads them, and
servers change them from one start to the next. `execution` is not passed on."""


PROMPT_READ = ("name", "title", "description", "arguments")
"""The same of a prompt's definition."""


def fingerprint(definition: Mapping[str, object]) -> str:
    """Give the SHA-256 of a tool's definition, in hexadecimal.

    What is null counts as absent, among the annotations too.

    Raises:
        NotJson: when it has no exact JSON form.

    """
    return digest(canonical(counting(definition)))


def counting(definition: Mapping[str, object], parts: tuple[str, ...] = READ) -> Json:
    """Give the parts of a definition that count.

    Raises:
        NotJson: when they have no exact JSON form.

    """
    read = {key: definition[key] for key in parts if definition.get(key) is not None}
    if isinstance(hints := read.get("annotations"), Mapping):
        read["annotations"] = {hint: value for hint, value in hints.items() if value is not None}
    return freeze(read)


class Definition:
    """A tool's definition, looked at when its fingerprint is first wanted, and once."""

    __slots__ = ("_describe", "_fingerprint")

    def __init__(self, describe: Callable[[], Mapping[str, object]]) -> None:
        """Keep what describes the tool; it is not called yet."""
        self._describe = describe
        self._fingerprint: str | None = None

    @property
    def fingerprint(self) -> str:
        """The fingerprint. It is empty, so that it matches no pin, where the definition can't be read."""
        if self._fingerprint is None:
            try:
                self._fingerprint = fingerprint(self._describe())
            except Exception:  # noqa: BLE001  # a schema that can't be made is none that a person looked at
                self._fingerprint = ""
        return self._fingerprint
