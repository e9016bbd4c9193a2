"""What a decision leant on, as an audit record keeps it beside the arguments: where they came from."""

from collections.abc import Mapping, Sequence

from blastwall.frozen import FrozenDict, Json
from blastwall.provenance.intent import Intent
from blastwall.provenance.origins import Context, How, Link, Origin, Path, Traced
from blastwall.values import WORST_CASE, Annotations, Confidentiality, Integrity, Label


def as_json(context: Context) -> FrozenDict:
    """Give a context's JSON form. It belongs beside the arguments, whose values are not in it again.

    Nor are the user's words: what `from_json` needs of both, it is given.
    """
    return FrozenDict(
        traced=tuple(map(_traced, context.traced)),
        heard=len(context.intent.texts),
        integrity=context.integrity.name.lower(),
        confidentiality=context.confidentiality.name.lower(),
        forgotten=context.forgotten,
    )


def hints(annotations: Annotations) -> FrozenDict:
    """Give the JSON form of a tool's annotations: what differs from the worst case, and what was stated."""
    held: dict[str, Json] = {
        name: getattr(annotations, name)
        for name in _HINTS
        if getattr(annotations, name) is not getattr(WORST_CASE, name)
    }
    if annotations.stated:
        held["stated"] = tuple(sorted(annotations.stated))
    return FrozenDict(held)


def annotations(data: Json) -> Annotations:
    """Read annotations back.

    Raises:
        ValueError: when these are none.

    """
    held = dict(_object(data))
    stated = frozenset(map(_text, _array(held.pop("stated", ()))))
    if held.keys() - _HINTS or not all(isinstance(value, bool) for value in held.values()):
        raise ValueError("these are no recorded annotations")
    return Annotations(**held, stated=stated)  # type: ignore[arg-type]  # the hints, each a bool


_HINTS = frozenset({"read_only", "destructive", "idempotent", "open_world"})


def _traced(leaf: Traced) -> FrozenDict:
    held: dict[str, Json] = {"path": leaf.path}
    if leaf.path and leaf.path[-1] == leaf.value:
        held["name"] = True  # an argument's name is traced like a value, where it is more than a name
    for name, origins in (("whole", leaf.whole), ("parts", leaf.parts)):
        if origins:
            held[name] = tuple(map(_origin, origins))
    if leaf.links:
        held["links"] = tuple(_link(link, leaf.value) for link in leaf.links)
    return FrozenDict(held)


def _link(link: Link, value: Json) -> FrozenDict:
    """Say where in the value a link stands; what was hidden in an encoding has no place there."""
    start = value.find(link.text) if isinstance(value, str) else -1
    text = (start, start + len(link.text)) if start >= 0 else link.text
    return FrozenDict(text=text, whole=tuple(map(_origin, link.origins)))


def _origin(origin: Origin) -> FrozenDict:
    held: dict[str, Json] = {
        "tool": origin.tool,
        "turn": origin.turn,
        "path": origin.path,
        "label": (origin.label.integrity.name.lower(), origin.label.confidentiality.name.lower()),
        "how": origin.how.value,
    }
    return FrozenDict(held | {mark: True for mark in ("prose", "bound") if getattr(origin, mark)})


def from_json(data: Json, arguments: FrozenDict, heard: Sequence[str] = ()) -> Context:
    """Read a context back.

    Args:
        data: What `as_json` gave.
        arguments: The call's own.
        heard: What the session's user had said by then, or more.

    Raises:
        ValueError: when it is no context, or one of other arguments.

    """
    try:
        held = _object(data)
        said = _number(held["heard"])
        if len(heard) < said:
            raise ValueError("the user's words were not recorded")
        return Context(
            traced=tuple(_read(leaf, arguments) for leaf in _array(held["traced"])),
            intent=Intent(tuple(heard[:said])),
            integrity=Integrity[_text(held["integrity"]).upper()],
            confidentiality=Confidentiality[_text(held["confidentiality"]).upper()],
            forgotten=held["forgotten"] is not False,
        )
    except KeyError as error:
        raise ValueError(f"this is no recorded context: {error} is missing or unknown") from None


def _read(data: Json, arguments: FrozenDict) -> Traced:
    held = _object(data)
    path = _path(held["path"])
    value = _at(path, arguments)
    if path and "name" in held:
        value = path[-1]
    return Traced(
        path,
        value,
        whole=_origins(held.get("whole", ())),
        parts=_origins(held.get("parts", ())),
        links=tuple(_read_link(link, value) for link in _array(held.get("links", ()))),
    )


def _path(data: Json) -> Path:
    return tuple(_number(step) if isinstance(step, int) else _text(step) for step in _array(data))


def _at(path: Path, arguments: FrozenDict) -> Json:
    value: Json = arguments
    for step in path:
        try:
            value = _array(value)[step] if isinstance(step, int) else _object(value)[step]
        except (LookupError, ValueError):
            raise ValueError("this context belongs to other arguments") from None
    return value


def _read_link(data: Json, value: Json) -> Link:
    held = _object(data)
    text = held["text"]
    if isinstance(text, tuple):
        start, end = map(_number, text)
        text = _text(value)[start:end]
    return Link(_text(text), _origins(held["whole"]))


def _origins(data: Json) -> tuple[Origin, ...]:
    return tuple(map(_read_origin, _array(data)))


def _read_origin(data: Json) -> Origin:
    held = _object(data)
    integrity, confidentiality = map(_text, _array(held["label"]))
    return Origin(
        tool=_text(held["tool"]),
        turn=_number(held["turn"]),
        path=_text(held["path"]),
        label=Label(Integrity[integrity.upper()], Confidentiality[confidentiality.upper()]),
        how=How(_text(held["how"])),
        prose=held.get("prose", False) is not False,
        bound=held.get("bound", False) is True,
    )


def _object(value: Json) -> Mapping[str, Json]:
    if not isinstance(value, Mapping):
        raise ValueError("this is no recorded context: an object is missing")
    return value


def _array(value: Json) -> tuple[Json, ...]:
    if not isinstance(value, tuple):
        raise ValueError("this is no recorded context: a list is missing")
    return value


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise ValueError("this is no recorded context: a text is missing")
    return value


def _number(value: Json) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("this is no recorded context: a number is missing")
    return value
