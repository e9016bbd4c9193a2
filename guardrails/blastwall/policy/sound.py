"""What can be wrong with a well-formed policy: names that lead nowhere, demands that demand nothing."""

from collections.abc import Callable, Iterator
from typing import Any

from blastwall.policy import sound_servers
from blastwall.policy.addresses import recipient
from blastwall.policy.flows import SOURCES
from blastwall.policy.meant import meant, near
from blastwall.policy.messages import ASKED, PAID
from blastwall.policy.model import Hints
from blastwall.policy.rules import covered
from blastwall.policy.servers import NO_SANDBOX
from blastwall.policy.source import Loc, Mistake, Source
from blastwall.values import WORST_CASE

Block = dict[str, Any]


def unsound(data: Any, source: Source, resolve: Callable[[str], str | None]) -> Iterator[Mistake]:
    """Find what is well-formed and still wrong; on raw data, so that it is told along with the rest."""
    for place, value in _paths(data):
        if isinstance(value, str) and resolve(value) is None:
            message = f"{value!r} leads nowhere certain: write a plain path, without ~, $ or ://"
            yield Mistake(place, message)
    sandboxes, credentials = _at(data, "sandboxes"), _at(data, "credentials")
    records = _at(data, "trusted_records")
    yield from _records(records)
    yield from sound_servers.reserved(sandboxes)
    yield from sound_servers.front(_at(data, "proxy"), _at(data, "connectors"), credentials)
    for name, block in sandboxes.items():
        where: Loc = ("sandboxes", name, "credentials")
        yield from _known_credentials(where, _block(block).get("credentials"), credentials)
    for name, connector in _at(data, "connectors").items():
        loc: Loc = ("connectors", name)
        yield from _connector(loc, _block(connector), sandboxes, credentials)
        yield from _rules((*loc, "rules"), _block(connector), sandboxes, records, source)


def _connector(loc: Loc, block: Block, sandboxes: Block, credentials: Block) -> Iterator[Mistake]:
    server = _block(block.get("server"))
    if server.get("sandbox") != NO_SANDBOX:
        yield from _known_sandbox((*loc, "server"), server, sandboxes)
    if isinstance(block.get("server"), dict):
        yield from sound_servers.server((*loc, "server"), server, credentials)
    yield from _known_credentials((*loc, "credentials"), block.get("credentials"), credentials)
    boxed = ("command" in server and server.get("sandbox") != NO_SANDBOX) or any(
        "sandbox" in rule for rule in _blocks(block, "rules")
    )
    for key in ("credentials", "egress"):
        if _list(block.get(key)) and not boxed:
            why = "nothing of this connector runs in a sandbox, which this is for"
            yield Mistake((*loc, key), f"{why}: add `sandbox`, or take it out")


def _rules(loc: Loc, connector: Block, sandboxes: Block, records: Block, source: Source) -> Iterator[Mistake]:
    seen: dict[str, int] = {}
    trusted = connector.get("trust_annotations") is True
    for i, rule in enumerate(_list(connector.get("rules"))):
        here = (*loc, i)
        yield from _known_sandbox(here, _block(rule), sandboxes)
        if isinstance(rule, dict):
            yield from _spoken_of(here, rule)
        yield from _rule(here, _block(rule), trusted=trusted)
        yield from _sources(here, _block(rule), records)
        identity = _block(rule).get("id")
        if not isinstance(identity, str):
            continue
        if seen.setdefault(identity, i) != i:
            first = source.place((*loc, seen[identity], "id"))[0]
            yield Mistake((*here, "id"), f"the id {identity!r} stands twice, first on line {first}")


def _rule(loc: Loc, rule: Block, *, trusted: bool) -> Iterator[Mistake]:
    deny = rule.get("effect") == "deny"
    if deny:
        for key, why in _NOT_FOR_DENY.items():
            if key in rule:
                yield Mistake((*loc, key), why)
    elif "otherwise" in rule and not any(rule.get(key) for key in _DEMANDING):
        yield Mistake(
            (*loc, "otherwise"),
            "this rule demands nothing (no args, flow, when, rate or budget), so there is no otherwise",
        )
    yield from _when(loc, rule, deny=deny, trusted=trusted)
    for name, constraint in _block(rule.get("args")).items():
        wanted = set(_block(constraint)) - {"optional"}
        if isinstance(constraint, dict) and not wanted:
            yield Mistake((*loc, "args", name), "this demands nothing: say what must hold, or take it out")


def _spoken_of(loc: Loc, rule: Block) -> Iterator[Mistake]:
    tools, messages = "tools" in rule, "messages" in rule
    if tools and messages:
        yield Mistake((*loc, "messages"), "both stand here: give `messages` a rule of their own")
    elif not (tools or messages):
        yield Mistake(loc, "say what the rule speaks of: `tools`, or `messages` of the protocol")
    globs = tuple(text for text in _list(rule.get("messages")) if isinstance(text, str))
    counted = rule.get("effect") == "deny" or "rate" in rule or "budget" in rule
    if not counted and any(covered(paid, globs) for paid in PAID):
        why = "each takes a person's time or their model's, at a server's wish"
        yield Mistake((*loc, "messages"), f"{why}: say how often, with `budget` or `rate`")
    if messages and "annotations" in _block(rule.get("when")):
        yield Mistake((*loc, "when"), "messages have no annotations: take this out")
    if "sandbox" in rule and any(covered(asked, globs) for asked in (*ASKED, "notifications/message")):
        yield Mistake((*loc, "sandbox"), "what a server asks of a client runs in no sandbox: take it out")


_DEMANDING = ("args", "flow", "when", "rate", "budget")

_NOT_FOR_DENY = {
    "otherwise": "a deny rule has no otherwise: what it does not match, it leaves alone",
    "sandbox": "a deny rule runs nothing, so it needs no sandbox",
    "flow": "a deny rule lets nothing flow: put flow on the rule that allows or asks",
    "rate": "a deny rule lets nothing through, so there is no rate: take it out",
    "budget": "a deny rule lets nothing through, so there is no budget: take it out",
}


def _when(loc: Loc, rule: Block, *, deny: bool, trusted: bool) -> Iterator[Mistake]:
    when = _block(rule.get("when"))
    if isinstance(rule.get("when"), dict) and not when:
        yield Mistake((*loc, "when"), "this demands nothing: write annotations or cel, or take it out")
    if trusted:
        return
    if not deny and "annotations" in when:
        yield Mistake(
            (*loc, "when"),
            "a server's own annotations can't loosen a rule: set trust_annotations: true on the connector,"
            " or name the tools",
        )
    if deny and _hints(when).items() - _WORST.items():
        yield Mistake(
            (*loc, "when"),
            "this never applies: without trust_annotations: true every tool counts as the worst case",
        )


_WORST = {field.alias or name: getattr(WORST_CASE, name) for name, field in Hints.model_fields.items()}
"""What a rule may suppose of a tool whose server is not trusted."""


def _hints(when: Block) -> dict[str, bool]:
    written = _block(when.get("annotations"))
    return {hint: value for hint, value in written.items() if hint in _WORST and isinstance(value, bool)}


def _sources(loc: Loc, rule: Block, records: Block) -> Iterator[Mistake]:
    known = tuple(dict.fromkeys((*SOURCES, *records)))
    for argument, sources in _block(_block(rule.get("flow")).get("control")).items():
        for i, name in enumerate(_list(sources)):
            if isinstance(name, str) and name and name not in known:
                yield Mistake((*loc, "flow", "control", argument, i), _never(name) or _no_source(name, known))
    for kind in ("match", "no_match"):
        for i, example in enumerate(_blocks(_block(rule.get("examples")), kind)):
            for argument, name in _block(example.get("from")).items():
                if isinstance(name, str) and name and name not in _EXAMPLES:
                    where = (*loc, "examples", kind, i, "from", argument)
                    yield Mistake(where, _no_source(name, _EXAMPLES))


_EXAMPLES = (*SOURCES, "external", "nowhere")
"""Where the values of an example may come from."""


def _never(name: str) -> str:
    if name not in ("external", "nowhere"):
        return ""
    return f"{name!r} may steer nothing: leave the argument out of control if anything may choose it"


def _no_source(name: str, known: tuple[str, ...]) -> str:
    return f"no source {name!r}{near(name, known)}"


def _records(records: Block) -> Iterator[Mistake]:
    for name, entries in records.items():
        if name in SOURCES:
            yield Mistake(
                ("trusted_records", name), f"{name!r} is a source of its own: call the records otherwise"
            )
        for i, entry in enumerate(_list(entries)):
            if isinstance(entry, str) and entry.startswith("@"):
                try:
                    recipient(entry)
                except ValueError as error:
                    yield Mistake(("trusted_records", name, i), str(error))


def _known_sandbox(loc: Loc, block: Block, known: Block) -> Iterator[Mistake]:
    name = block.get("sandbox")
    if isinstance(name, str) and name not in known:
        yield Mistake((*loc, "sandbox"), f"no sandbox {name!r} under sandboxes{meant(name, known)}")


def _known_credentials(loc: Loc, names: Any, known: Block) -> Iterator[Mistake]:
    for i, name in enumerate(_list(names)):
        if isinstance(name, str) and name not in known:
            yield Mistake((*loc, i), f"no credential {name!r} under credentials{meant(name, known)}")


def _paths(data: Any) -> Iterator[tuple[Loc, Any]]:
    """Give every path that a policy writes."""
    state = _block(_at(data, "defaults").get("state"))
    yield ("defaults", "state", "directory"), state.get("directory")
    for name, block in _at(data, "credentials").items():
        yield ("credentials", name, "file"), _block(block).get("file")
    for name, block in _at(data, "sandboxes").items():
        yield ("sandboxes", name, "workspace"), _block(block).get("workspace")
        for key in ("read", "mask"):
            for i, path in enumerate(_list(_block(block).get(key))):
                yield ("sandboxes", name, key, i), path
    for name, connector in _at(data, "connectors").items():
        yield ("connectors", name, "directory"), _block(connector).get("directory")
        yield from _under(("connectors", name, "rules"), _list(_block(connector).get("rules")))


def _under(loc: Loc, rules: list[Any]) -> Iterator[tuple[Loc, Any]]:
    for i, rule in enumerate(rules):
        for argument, constraint in _block(_block(rule).get("args")).items():
            for j, path in enumerate(_list(_block(constraint).get("under"))):
                yield (*loc, i, "args", argument, "under", j), path


def _at(data: Any, key: str) -> Block:
    return _block(_block(data).get(key))


def _block(value: Any) -> Block:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _blocks(block: Block, key: str) -> list[Block]:
    return [_block(item) for item in _list(block.get(key))]
