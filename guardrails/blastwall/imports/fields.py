"""One value of a foreign file, and where it stands: what a translator reads, and what it complains of."""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blastwall.errors import PolicyError, Problem
from blastwall.imports import jsonc
from blastwall.policy import source as yaml
from blastwall.policy.source import MAX_BYTES, Loc, Mistake, Place, Source

Resolve = Callable[[str, Path | None], str | None]
"""Where a path leads (`blastwall.paths.resolve`), handed in so that this room touches no file system."""


@dataclass(frozen=True, slots=True)
class Given:
    """A file to import: its name for messages, its absolute path and its bytes."""

    name: str
    path: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where an import takes place.

    Attributes:
        directory: The project's folder, where relative paths start.
        home: The user's home folder.
        resolve: Says where a path leads.

    """

    directory: str
    home: str
    resolve: Resolve


@dataclass(frozen=True, slots=True)
class Field:
    """A value in a foreign file.

    Attributes:
        value: The plain data.
        loc: The keys and positions that lead to it.
        file: The file's name.
        source: Where everything in the file stands.

    """

    value: Any
    loc: Loc
    file: str
    source: Source

    @property
    def where(self) -> str:
        """`file:line`, for comments."""
        line = self._place()[0]
        return f"{self.file}:{line}" if line else self.file

    def says(self, message: str, *, key: bool = False) -> Problem:
        """Give a remark on this value."""
        line, column = self._place(key=key)
        return Problem(self.file, line, column, ".".join(map(str, self.loc)), message)

    def wrong(self, message: str) -> PolicyError:
        """Give the error that stops the import."""
        return PolicyError([self.says(message)])

    def _place(self, *, key: bool = False) -> Place:
        return self.source.place(self.loc, key=key) if self.source.values else (0, 0)

    def get(self, key: str) -> "Field | None":
        """Give what stands under a key of a block; None where nothing does."""
        return self._inner(key, self.value[key]) if key in self.block() else None

    def needed(self, key: str) -> "Field":
        """Give what stands under a key of a block."""
        found = self.get(key)
        if found is None:
            raise self.wrong(f"the key {key!r} is missing")
        return found

    def listed(self, key: str) -> "list[Field]":
        """Give the texts that stand under a key; none where the key does not stand."""
        found = self.get(key)
        return found.texts() if found else []

    def block(self) -> Mapping[str, Any]:
        """Give the block."""
        if not isinstance(self.value, dict):
            raise self.wrong("must be a block of keys and values")
        return self.value

    def fields(self) -> Iterator[tuple[str, "Field"]]:
        """Give a block's keys with what they hold."""
        for key, value in self.block().items():
            yield key, self._inner(key, value)

    def items(self) -> list["Field"]:
        """Give the members of a list."""
        if not isinstance(self.value, list):
            raise self.wrong("must be a list")
        return [self._inner(i, item) for i, item in enumerate(self.value)]

    def texts(self) -> list["Field"]:
        """Give the members of a list of texts, or the one text in place of such a list."""
        if isinstance(self.value, str):
            return [self]
        if not isinstance(self.value, list):
            raise self.wrong("must be text, or a list of texts")
        items = self.items()
        for item in items:
            item.text()
        return items

    def text(self) -> str:
        """Give the text."""
        if not isinstance(self.value, str):
            raise self.wrong("must be text")
        return self.value

    def flag(self) -> bool:
        """Give the truth value."""
        if not isinstance(self.value, bool):
            raise self.wrong("must be true or false")
        return self.value

    def one_of(self, *known: str) -> str:
        """Give the text, which must be one of these."""
        if self.text() not in known:
            raise self.wrong(f"must be one of {', '.join(known)}, not {self.value!r}")
        return str(self.value)

    def _inner(self, step: str | int, value: Any) -> "Field":
        return Field(value, (*self.loc, step), self.file, self.source)


def of_json(given: Given) -> Field:
    """Read a JSON file, comments and trailing commas included.

    Raises:
        PolicyError: when it is none.

    """
    return _field(given, jsonc.read(_text(given)))


def of_yaml(given: Given) -> Field:
    """Read a YAML file.

    Raises:
        PolicyError: when it is none.

    """
    return _field(given, yaml.read(_text(given)))


def of_toml(given: Given) -> Field:
    """Read a TOML file. Python's reader keeps no places: remarks name the field.

    Raises:
        PolicyError: when it is none.

    """
    try:
        return Field(tomllib.loads(_text(given)), (), given.name, Source())
    except tomllib.TOMLDecodeError as error:
        raise PolicyError([_toml(given, str(error))]) from None
    except RecursionError:
        raise PolicyError([Problem(given.name, 0, 0, "", "nested too deeply")]) from None


def _toml(given: Given, said: str) -> Problem:
    message, _, place = said.partition(" (at ")
    numbers = [int(word) for word in place.rstrip(")").replace(",", "").split() if word.isdigit()]
    line, column = numbers if len(numbers) == 2 else (_lines(given), 1)
    return Problem(given.name, line, column, "", f"this is not TOML: {message}")


def _lines(given: Given) -> int:
    return given.content.count(b"\n") + 1


def _text(given: Given) -> str:
    if len(given.content) > MAX_BYTES:
        raise PolicyError([Problem(given.name, 0, 0, "", f"larger than {MAX_BYTES} bytes")])
    try:
        return given.content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = given.content[: error.start].count(b"\n") + 1
        column = error.start - given.content.rfind(b"\n", 0, error.start)
        raise PolicyError([Problem(given.name, line, column, "", "this is not UTF-8 text")]) from None


def _field(given: Given, source: Source) -> Field:
    if source.mistakes:
        raise PolicyError([_problem(given, mistake, source) for mistake in source.mistakes[:1]])
    return Field(source.data, (), given.name, source)


def _problem(given: Given, mistake: Mistake, source: Source) -> Problem:
    line, column = mistake.place or source.place(mistake.loc)
    return Problem(given.name, line, column, ".".join(map(str, mistake.loc)), mistake.message)
