"""Policy text to a compiled `Policy`, or every mistake in it at once."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from blastwall.errors import PolicyError, Problem
from blastwall.policy.assemble import assemble
from blastwall.policy.blocks import NO_VALUE
from blastwall.policy.decide import Policy
from blastwall.policy.examples import misjudged
from blastwall.policy.expand import expanded
from blastwall.policy.meant import meant
from blastwall.policy.model import Document
from blastwall.policy.sound import unsound
from blastwall.policy.source import MAX_BYTES, Loc, Mistake, Source, read

Resolve = Callable[[str, Path | None], str | None]
"""Where a path leads (`blastwall.paths.resolve`), handed in so that this room touches no file system."""


def parse(
    content: bytes,
    *,
    file: str,
    directory: Path,
    state: Path,
    resolve: Resolve,
    beside: tuple[Path, ...] = (),
) -> Policy:
    """Compile a policy.

    Args:
        content: The file's bytes.
        file: Its name, for the error messages.
        directory: The folder that its relative paths start from.
        state: Where audit log and quarantine go when it doesn't say.
        resolve: Resolves its paths, symlinks included.
        beside: The other files of the same policy, which no sandbox and no tool may touch either.

    Raises:
        PolicyError: with all problems, in the order of the file.

    """
    source = _read(content)
    mistakes = list(source.mistakes)
    data: Any = source.data
    document: Document | None = None
    if source.data is not None or not mistakes:
        data = expanded(source.data, mistakes)
        try:
            document = Document.model_validate(data)
        except ValidationError as error:
            mistakes.extend(_mistake(item, source) for item in error.errors())
        mistakes.extend(unsound(data, source, lambda path: resolve(path, directory)))
    if mistakes or document is None:
        raise PolicyError([_problem(m, file, source) for m in _ordered(mistakes, source)])
    digest = _digest(content, source.data, data)
    policy = assemble(
        document, digest, file=file, directory=directory, state=state, resolve=resolve, beside=beside
    )
    if wrong := list(misjudged(document, policy, resolve)):
        raise PolicyError([_problem(m, file, source) for m in _ordered(wrong, source)])
    return policy


def _digest(content: bytes, written: Any, laid: Any) -> str:
    """Fingerprint a policy: its file, and what templates put in, which another version may do otherwise."""
    templates = b"" if laid == written else json.dumps(laid, sort_keys=True).encode()
    return hashlib.sha256(content + templates).hexdigest()


def _read(content: bytes) -> Source:
    if len(content) > MAX_BYTES:
        return Source(mistakes=[Mistake((), f"larger than {MAX_BYTES} bytes: a policy is not that long")])
    try:
        return read(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        return Source(mistakes=[Mistake((), "this is not UTF-8 text", (line, column))])


def _ordered(mistakes: list[Mistake], source: Source) -> list[Mistake]:
    return sorted(mistakes, key=lambda m: m.place or source.place(m.loc))


def _problem(mistake: Mistake, file: str, source: Source) -> Problem:
    line, column = mistake.place or source.place(mistake.loc)
    return Problem(file, line, column, ".".join(map(str, mistake.loc)), mistake.message)


def _mistake(error: Mapping[str, Any], source: Source) -> Mistake:
    loc: Loc = error["loc"]
    unknown = error["type"] == "extra_forbidden"
    of_key = not unknown and loc[-1:] == ("[key]",)  # pydantic's mark for a dict's key, not the user's
    loc = loc[:-1] if of_key else loc
    return Mistake(loc, _message(error, loc), source.place(loc, key=unknown or of_key))


def _message(error: Mapping[str, Any], loc: Loc) -> str:
    kind, value = error["type"], error["input"]
    match kind:
        case "extra_forbidden":
            known = _fields(loc[:-1])
            near = meant(str(loc[-1]), known) or f" (there are {', '.join(known)})"
            return f"unknown key {loc[-1]!r}{near}"
        case "missing":
            return f"the key {loc[-1]!r} is missing"
        case "value_error":
            return str(error["ctx"]["error"])
        case _ if value is None:
            return NO_VALUE if loc else "the file is empty: a policy starts with `version: 1`"
        case "literal_error":
            wanted = error["ctx"]["expected"]
            near = meant(value, wanted.split("'")[1::2]) if isinstance(value, str) else ""
            return f"must be {wanted}, not {_shown(value)}{near}"
        case "string_type" if isinstance(value, bool | int | float):
            return f"must be text, not {_shown(value)}: put it in quotes"
        case _:
            demand = _DEMANDS.get(kind, "is wrong here: {value}")
            return demand.format(value=_shown(value), **error.get("ctx", {}))


_NAME = "a name is letters, digits, `-`, `.` and single `_`, at most 32 of them"
_BLOCK = "must be a block of `key: value` lines, not {value}"
_DEMANDS = {
    "model_type": _BLOCK,
    "dict_type": _BLOCK,
    "list_type": "must be a list, not {value}: write `[a, b]`, or a line `- a` for each",
    "string_type": "must be text, not {value}",
    "bool_type": "must be true or false, not {value}",
    "int_type": "must be a whole number, not {value}",
    "float_type": "must be a number, not {value}",
    "finite_number": "must be a number, and this is too large for one",
    "greater_than": "must be more than {gt:g}, not {value}",
    "greater_than_equal": "must be at least {ge:.15g}, not {value}",
    "less_than_equal": "must be at most {le:.15g}, not {value}",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": _NAME,
    "string_too_long": _NAME,
}
"""What each kind of pydantic's errors means to the user."""


def _shown(value: Any) -> str:
    """Show a value as YAML has it, and no more of it than helps."""
    if isinstance(value, dict):
        return "a block"
    if isinstance(value, list):
        return "a list"
    text = repr(value) if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


_SHOWN = 60


def _fields(loc: Loc) -> list[str]:
    """Name the keys that the block at `loc` may have, by walking the model's own annotations."""
    block: Any = Document
    for step in loc:
        block = _inner(get_args(block)[-1] if get_origin(block) else _keys(block).get(str(step)))
    return list(_keys(block))


def _keys(block: Any) -> dict[str, Any]:
    """Give a block's keys and what they hold; what is no block has none."""
    fields: dict[str, FieldInfo] = getattr(block, "model_fields", {})
    return {field.alias or name: field.annotation for name, field in fields.items()}


def _inner(annotation: Any) -> Any:
    """Take the `Annotated` and the `| None` off."""
    while get_origin(annotation) not in (None, dict, list):
        annotation = get_args(annotation)[0]
    return annotation
