"""The examples that rules carry, checked whenever a policy is read."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path as FilePath

from blastwall.frozen import Json, NotJson
from blastwall.policy.decide import Policy
from blastwall.policy.model import Document
from blastwall.policy.rules import Rule
from blastwall.policy.scopes import ExampleBlock
from blastwall.policy.source import Mistake
from blastwall.provenance import Context, Intent, Link, Origin, Path, Traced, leaves, links
from blastwall.values import WORST_CASE, Annotations, Confidentiality, Integrity, Label, ToolCall

Resolve = Callable[[str, FilePath | None], str | None]


def misjudged(document: Document, policy: Policy, resolve: Resolve) -> Iterator[Mistake]:
    """Give the examples of which a rule says something else than its author thought."""
    for name, block in document.connectors.items():
        connector = policy.connectors[name]
        for i, rule in enumerate(block.rules):
            for kind in ("match", "no_match"):
                for j, example in enumerate(getattr(rule.examples, kind)):
                    why = _wrong(example, connector.rules[i], name, connector.directory, resolve)
                    if why is None or bool(why) is (kind == "match"):
                        said = "this is no call" if why is None else _said(why, rule.effect)
                        yield Mistake(("connectors", name, "rules", i, "examples", kind, j), said)


def _said(why: str, effect: str) -> str:
    return f"the rule does not {effect} this: {why}" if why else f"the rule would {effect} this"


def _wrong(
    example: ExampleBlock, rule: Rule, connector: str, directory: FilePath | None, resolve: Resolve
) -> str | None:
    """Say why the rule does not speak for a call: nothing if it does, None if it is none."""
    try:
        call = ToolCall.of(connector, example.name, example.args)
    except NotJson:
        return None
    if not rule.covers(call.tool, WORST_CASE if not rule.when else _as_wanted(rule)):
        return f"it speaks of {', '.join(rule.tools)} only"
    paths = [path for check in rule.checks for path in check.paths(call.arguments)]
    resolved = {path: resolve(path, directory) for path in paths}
    context = staged(call, example)
    if rule.stand(call, resolved, context) is rule.effect:
        return ""
    return "; ".join(rule.objections(call, resolved, context)) or "its demands hold"


def _as_wanted(rule: Rule) -> Annotations:
    """Give annotations as the rule demands them: an example is about the rest."""
    wanted = dict(rule.when)
    return Annotations(**{hint: wanted.get(hint, getattr(WORST_CASE, hint)) for hint in _HINTS})


_HINTS = ("read_only", "destructive", "idempotent", "open_world")


def staged(call: ToolCall, example: ExampleBlock) -> Context:
    """Give the context that an example supposes: everything is the user's wish where it says nothing else."""
    traced = tuple(_traced(path, value, example.origin) for path, value in leaves(call.arguments))
    intent = Intent((example.prompt,)) if example.prompt else _Anything()
    return Context(traced, intent)


class _Anything(Intent):
    """A user who asked for everything, as often as one likes."""

    def asked(self, verbs: tuple[str, ...], objects: tuple[str, ...] = ()) -> int | None:
        return None


def _traced(path: Path, value: Json, stated: Mapping[str, str]) -> Traced:
    names = [step for step in path if isinstance(step, str)]
    given = (".".join(names[:end]) for end in range(len(names), 0, -1))
    source = next((stated[name] for name in given if name in stated), "prompt")
    origins = _ORIGINS[source]
    found = tuple(Link(text, origins) for text in links(value)) if isinstance(value, str) else ()
    return Traced(path, value, origins, (), found)


def _origin(integrity: Integrity, *, bound: bool = False, prose: bool = False) -> Origin:
    tool = "" if integrity is Integrity.PROMPT else "an.output"
    return Origin(tool, 1, "$", Label(integrity, Confidentiality.PUBLIC), prose=prose, bound=bound)


_TYPED = _origin(Integrity.TYPED)
_PROSE = _origin(Integrity.EXTERNAL, prose=True)
_ORIGINS = {
    "prompt": (_origin(Integrity.PROMPT),),
    "typed": (_TYPED, _PROSE),
    "unmentioned": (_TYPED,),
    "bound": (_origin(Integrity.TYPED, bound=True), _PROSE),
    "internal": (_origin(Integrity.INTERNAL),),
    "external": (_origin(Integrity.EXTERNAL),),
    "nowhere": (),
}
"""What each of an example's sources looks like to a session."""

SOURCES_OF_EXAMPLES = tuple(_ORIGINS)
"""Where the values of an example may come from."""
