"""Policy text to a compiled `Policy`, or every mistake in it at once."""

import difflib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from blastwall.errors import PolicyError, Problem
from blastwall.policy.assemble import assemble
from blastwall.policy.blocks import NO_VALUE
from blastwall.policy.decide import Policy
from blastwall.policy.model import Document, Hints
from blastwall.policy.source import MAX_BYTES, Loc, Mistake, Source, read
from blastwall.values import WORST_CASE

Resolve = Callable[[str, Path | None], str | None]
"""Where a path leads (`blastwall.paths.resolve`), handed in so that this room touches no file system."""


def parse(content: bytes, *, file: str, directory: Path, state: Path, resolve: Resolve) -> Policy:
    """Compile a policy.

    Args:
        content: The file's bytes.
        file: Its name, for the error messages.
        directory: The folder that its relative paths start from.
        state: Where audit log and quarantine go when it doesn't say.
        resolve: Resolves its paths, symlinks included.

    Raises:
        PolicyError: with all problems, in the order of the file.

    """
    source = _read(content)
    mistakes = list(source.mistakes)
    document: Document | None = None
    if source.data is not None or not mistakes:
        try:
            document = Document.model_validate(source.data)
        except ValidationError as error:
            mistakes.extend(_mistake(item, source) for item in error.errors())
        mistakes.extend(_unsound(source.data, source, lambda path: resolve(path, directory)))
    if mistakes or document is None:
        raise PolicyError([_problem(m, file, source) for m in _ordered(mistakes, source)])
    digest = hashlib.sha256(content).hexdigest()
    return assemble(document, digest, file=file, directory=directory, state=state, resolve=resolve)


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
            meant = _meant(str(loc[-1]), known) or f" (there are {', '.join(known)})"
            return f"unknown key {loc[-1]!r}{meant}"
        case "missing":
            return f"the key {loc[-1]!r} is missing"
        case "value_error":
            return str(error["ctx"]["error"])
        case _ if value is None:
            return NO_VALUE if loc else "the file is empty: a policy starts with `version: 1`"
        case "literal_error":
            wanted = error["ctx"]["expected"]
            meant = _meant(value, wanted.split("'")[1::2]) if isinstance(value, str) else ""
            return f"must be {wanted}, not {_shown(value)}{meant}"
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
    "int_from_float": "must be a whole number, not {value}",
    "float_type": "must be a number, not {value}",
    "finite_number": "must be a number, and this is too large for one",
    "greater_than": "must be more than {gt:g}, not {value}",
    "greater_than_equal": "must be at least {ge:g}, not {value}",
    "less_than_equal": "must be at most {le:g}, not {value}",
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


def _meant(written: str, known: list[str]) -> str:
    close = difflib.get_close_matches(written, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


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


def _unsound(data: Any, source: Source, resolve: Callable[[str], str | None]) -> Iterator[Mistake]:
    """Find what is well-formed and still wrong; on raw data, so that it is told along with the rest."""
    sandboxes = _block(_block(data).get("sandboxes"))
    for loc, value in _paths(data):
        if isinstance(value, str) and resolve(value) is None:
            message = f"{value!r} leads nowhere certain: write a plain path, without ~, $ or ://"
            yield Mistake(loc, message)
    yield from _unknown_credentials(sandboxes, _block(_block(data).get("credentials")))
    for name, connector in _block(_block(data).get("connectors")).items():
        here: Loc = ("connectors", name)
        server = _block(_block(connector).get("server"))
        yield from _known_sandbox((*here, "server"), server, sandboxes)
        seen: dict[str, int] = {}
        for i, rule in enumerate(_list(_block(connector).get("rules"))):
            loc = (*here, "rules", i)
            yield from _known_sandbox(loc, _block(rule), sandboxes)
            yield from _rule(loc, _block(rule), trusted=_block(connector).get("trust_annotations") is True)
            identity = _block(rule).get("id")
            if not isinstance(identity, str):
                continue
            if seen.setdefault(identity, i) != i:
                first = source.place((*here, "rules", seen[identity], "id"))[0]
                yield Mistake((*loc, "id"), f"the id {identity!r} stands twice, first on line {first}")


def _rule(loc: Loc, rule: dict[str, Any], *, trusted: bool) -> Iterator[Mistake]:
    deny = rule.get("effect") == "deny"
    if deny and "otherwise" in rule:
        yield Mistake(
            (*loc, "otherwise"), "a deny rule has no otherwise: what it does not match, it leaves alone"
        )
    if deny and "sandbox" in rule:
        yield Mistake((*loc, "sandbox"), "a deny rule runs nothing, so it needs no sandbox")
    if "otherwise" in rule and not rule.get("args"):
        yield Mistake((*loc, "otherwise"), "without args there is no otherwise")
    if not deny and not trusted and "when" in rule:
        yield Mistake(
            (*loc, "when"),
            "a server's own annotations can't loosen a rule: set trust_annotations: true on the connector,"
            " or name the tools",
        )
    if deny and not trusted and _hints(rule).items() - _WORST.items():
        yield Mistake(
            (*loc, "when"),
            "this never applies: without trust_annotations: true every tool counts as the worst case",
        )
    for name, constraint in _block(rule.get("args")).items():
        wanted = set(_block(constraint)) - {"optional"}
        if isinstance(constraint, dict) and not wanted:
            yield Mistake((*loc, "args", name), "this demands nothing: say what must hold, or take it out")


_WORST = {field.alias or name: getattr(WORST_CASE, name) for name, field in Hints.model_fields.items()}
"""What a rule may suppose of a tool whose server is not trusted."""


def _hints(rule: dict[str, Any]) -> dict[str, bool]:
    written = _block(_block(rule.get("when")).get("annotations"))
    return {hint: value for hint, value in written.items() if hint in _WORST and isinstance(value, bool)}


def _known_sandbox(loc: Loc, block: dict[str, Any], known: dict[str, Any]) -> Iterator[Mistake]:
    name = block.get("sandbox")
    if isinstance(name, str) and name not in known:
        yield Mistake((*loc, "sandbox"), f"no sandbox {name!r} under sandboxes{_meant(name, list(known))}")


def _unknown_credentials(sandboxes: dict[str, Any], known: dict[str, Any]) -> Iterator[Mistake]:
    for name, block in sandboxes.items():
        for i, credential in enumerate(_list(_block(block).get("credentials"))):
            if isinstance(credential, str) and credential not in known:
                message = f"no credential {credential!r} under credentials{_meant(credential, list(known))}"
                yield Mistake(("sandboxes", name, "credentials", i), message)


def _paths(data: Any) -> Iterator[tuple[Loc, Any]]:
    """Give every path that a policy writes."""
    state = _block(_block(_block(data).get("defaults")).get("state"))
    yield ("defaults", "state", "directory"), state.get("directory")
    for name, block in _block(_block(data).get("credentials")).items():
        yield ("credentials", name, "file"), _block(block).get("file")
    for name, block in _block(_block(data).get("sandboxes")).items():
        yield ("sandboxes", name, "workspace"), _block(block).get("workspace")
        for key in ("read", "mask"):
            for i, path in enumerate(_list(_block(block).get(key))):
                yield ("sandboxes", name, key, i), path
    for name, connector in _block(_block(data).get("connectors")).items():
        yield ("connectors", name, "directory"), _block(connector).get("directory")
        yield from _under(("connectors", name, "rules"), _list(_block(connector).get("rules")))


def _under(loc: Loc, rules: list[Any]) -> Iterator[tuple[Loc, Any]]:
    for i, rule in enumerate(rules):
        for argument, constraint in _block(_block(rule).get("args")).items():
            for j, path in enumerate(_list(_block(constraint).get("under"))):
                yield (*loc, i, "args", argument, "under", j), path


def _block(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
