"""The connector templates and sandbox profiles that come with blastwall, and how a policy's words get in.

A template is data: a connector's `effects`, `outputs` and `rules`, beside what it is `about`, the `servers`
whose tools it was held against, its `parameters`, which only the user knows, and the words that it `define`s
for itself.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from functools import cache
from importlib.resources import files
from typing import Any

from blastwall.policy.meant import meant
from blastwall.policy.source import read

LABELS = ("effects", "outputs")
"""What a template gives to a connector, beside rules."""

PROFILES = "profiles"
"""The file beside the templates that holds the profiles."""

_FOLDER = files("blastwall.policy") / "templates"


def names() -> tuple[str, ...]:
    """Name the templates."""
    found = (entry.name.removesuffix(".yaml") for entry in _FOLDER.iterdir() if entry.name.endswith(".yaml"))
    return tuple(sorted(name for name in found if name != PROFILES))


def about(name: str) -> str:
    """Say in one line what a template is for."""
    return str(_template(name)["about"])


def text(name: str) -> str:
    """Give a template as it was written, comments and all; `profiles` for all the profiles."""
    if name != PROFILES:
        _template(name)
    return _text(name)


def parameters(name: str) -> dict[str, dict[str, Any]]:
    """Give what a template wants to be told."""
    return deepcopy(_template(name).get("parameters", {}))


def expand(name: str, given: Mapping[str, object]) -> dict[str, Any]:
    """Give a template's connector keys, with what the policy's `with` says put in.

    `$name` as a whole value becomes what was given; as a member of a list it becomes the members given. A
    rule with a whole value that was not given says of every call what it says `otherwise`, and is left out
    when it says nothing.

    Raises:
        ValueError: naming the template or parameter that is missing or unknown, and what it is for.

    """
    template = _template(name)
    known = template.get("parameters", {})
    _check(name, known, given)
    values = {**template.get("define", {}), **given}
    sample = {key: block["sample"] for key, block in known.items()}
    rules = [_rule(rule, values, given, sample) for rule in template["rules"]]
    labels = {key: _object(_filled(template[key], values)) for key in LABELS}
    return labels | {"rules": [rule for rule in rules if rule is not None]}


def profiles() -> dict[str, str]:
    """Give the names of the shipped sandbox profiles, each with what it is for."""
    return {name: block["about"] for name, block in _all_profiles().items()}


def profile(name: str) -> dict[str, Any]:
    """Give a shipped profile's keys.

    Raises:
        ValueError: when there is none of this name.

    """
    known = _all_profiles()
    if name not in known:
        raise ValueError(f"no profile {name!r}{_not_among(name, known)}")
    return {key: deepcopy(value) for key, value in known[name].items() if key != "about"}


@cache
def _all_profiles() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = read(_text(PROFILES)).data
    return found


def _template(name: str) -> dict[str, Any]:
    known = names()
    if name not in known:
        raise ValueError(f"no template {name!r}{_not_among(name, known)}")
    return _loaded(name)


@cache
def _loaded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = read(_text(name)).data
    return found


def _text(name: str) -> str:
    return (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


def _check(name: str, known: dict[str, dict[str, Any]], given: Mapping[str, object]) -> None:
    for key, value in given.items():
        if key not in known:
            raise ValueError(f"template {name!r} has no parameter {key!r}{_not_among(key, known)}")
        wanted, fits = _TYPES[known[key]["type"]]
        if not fits(value):
            raise ValueError(
                f"parameter {key!r} of template {name!r} must be {wanted}: {known[key]['about']}"
            )
    for key, block in known.items():
        if block.get("required") and key not in given:
            raise ValueError(
                f"template {name!r} needs to be told {key!r}: {block['about']}."
                f" Write `with: {{{key}: {_written(block['sample'])}}}`"
            )


def _not_among(word: str, known: Iterable[str]) -> str:
    listed = list(known)
    return meant(word, listed) or f" (there are {', '.join(listed) or 'none'})"


def _written(sample: Any) -> str:
    return f"[{', '.join(map(str, sample))}]" if isinstance(sample, list) else str(sample)


def _texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) and item for item in value)


def _text_alone(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


_TYPES: dict[str, tuple[str, Callable[[object], bool]]] = {
    "paths": ("a list of folders", _texts),
    "texts": ("a list of texts", _texts),
    "text": ("one text", _text_alone),
    "number": ("a number above 0", _number),
}


def _rule(
    rule: dict[str, Any], values: Mapping[str, object], given: Mapping[str, object], sample: dict[str, Any]
) -> dict[str, Any] | None:
    kept = {key: value for key, value in rule.items() if key != "examples"}
    whole, spliced = set(_named(kept)), set(_named(kept, listed=True))
    if not whole <= values.keys():
        if "otherwise" not in rule:
            return None
        fallen = {"id": rule["id"], "effect": rule["otherwise"]}
        kept = {key: rule[key] for key in ("tools", "messages", "instead") if key in rule}
        return _object(_filled(fallen | kept, values))
    filled = _object(_filled(kept, values))
    # The examples were written for the sample values, and for lists that nobody has lengthened.
    told = {key: given[key] for key in (whole | spliced) & given.keys()}
    if "examples" in rule and told == {key: sample[key] for key in whole & sample.keys()}:
        filled["examples"] = deepcopy(rule["examples"])
    return filled


def _object(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = value
    return found


def _named(value: Any, *, listed: bool = False, member: bool = False) -> Iterator[str]:
    """Give the names that stand as a whole value, or those that stand as a member of a list."""
    if isinstance(value, dict):
        for item in value.values():
            yield from _named(item, listed=listed)
    elif isinstance(value, list):
        for item in value:
            yield from _named(item, listed=listed, member=True)
    elif _is_name(value) and member is listed:
        yield value[1:]


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value[:1] == "$" and value[1:].isidentifier()


def _filled(value: Any, given: Mapping[str, object]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, given) for key, item in value.items()}
    if isinstance(value, list):
        return [filled for item in value for filled in _members(item, given)]
    return deepcopy(given[value[1:]]) if _is_name(value) else value


def _members(item: Any, given: Mapping[str, object]) -> list[Any]:
    if not _is_name(item):
        return [_filled(item, given)]
    members = given.get(item[1:], ())
    return list(members) if isinstance(members, list | tuple) else [members]
