"""What trusting a policy file would mean, read from its data: nothing of it is looked up or compiled."""

from collections.abc import Iterator, Mapping
from typing import Any

from blastwall.policy.expand import expanded
from blastwall.policy.servers import NO_SANDBOX
from blastwall.policy.source import Mistake, read
from blastwall.trust.looks import visible

_MOST = 40
"""Lines of one kind that are shown; a file that needs more is not one to trust at a glance."""

_WIDEST = 160


def mistakes(content: bytes) -> list[str]:
    """Say what keeps a file from being a policy at all; empty when it can be read as one."""
    return [f"line {place[0]}: {m.message}" for m in _read(content)[1] for place in [m.place or (1, 1)]]


def meaning(content: bytes, *, alone: bool) -> Iterator[str]:
    """Say what a policy file takes away and, where it stands alone, what it grants and starts.

    Beside the user's own policy it can only take away: its servers, sandboxes, credentials and state are
    then not used.
    """
    data, wrong = _read(content)
    if wrong:
        return
    if not alone:
        names = ", ".join(visible(name) for name in _block(data, "connectors"))
        yield f"beside your own policy it can only take away, in the connectors it names: {names or 'none'}"
        yield "its servers, sandboxes, credentials and state are not used"
        return
    yield from _most(_starts(data))
    yield from _most(_credentials(data))
    yield from _most(_reaches(data))
    yield from _most(_rules(data))
    yield from _defaults(data)


def _read(content: bytes) -> tuple[Mapping[str, Any], list[Mistake]]:
    try:
        source = read(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return {}, [Mistake((), "this is not UTF-8 text")]
    wrong = list(source.mistakes)
    data = expanded(source.data, wrong) if not wrong else {}
    if not isinstance(data, dict):
        return {}, [*wrong, Mistake((), "this is no policy")]
    return data, wrong


def _most(said: Iterator[str]) -> Iterator[str]:
    for number, line in enumerate(said):
        if number == _MOST:
            yield "and more of the kind: read the file"
            return
        yield line if len(line) <= _WIDEST else f"{line[:_WIDEST]}… ({len(line)} characters)"


def _starts(data: Mapping[str, Any]) -> Iterator[str]:
    for name, block in _blocks(data, "connectors"):
        server = _block(block, "server")
        if "url" in server:
            secret = f", with the credential {_word(server['credential'])}" if "credential" in server else ""
            yield f"connects to {_word(server['url'])} for {visible(name)}{secret}"
        elif server:
            words = " ".join(map(_word, [server.get("command", ""), *_list(server, "args")]))
            yield f"starts {words} for {visible(name)}, {_where(server.get('sandbox'))}"
            for variable, value in _block(server, "env").items():
                yield f"  with {visible(variable)}={_word(value)}"
    http = _block(_block(data, "proxy"), "http")
    if "http" in _block(data, "proxy"):
        who = "whoever has a token of its issuer" if "auth" in http else "whoever reaches it"
        yield f"listens at {_word(http.get('host', '127.0.0.1'))} for {who}"


def _where(box: Any) -> str:
    if box is None:
        return "in the default sandbox"
    return "outside of any sandbox" if box == NO_SANDBOX else f"in the sandbox {_word(box)}"


def _credentials(data: Mapping[str, Any]) -> Iterator[str]:
    for name, block in _blocks(data, "credentials"):
        hosts = ", ".join(map(_word, _list(block, "hosts"))) or "no host"
        if "command" in block:
            command = " ".join(map(_word, _list(block, "command")))
            yield f"runs {command} for the credential {visible(name)}, sent to {hosts}"
            continue
        source = next(
            (f"{kind} {_word(block[kind])}" for kind in ("env", "file", "keyring") if kind in block), ""
        )
        yield f"reads the credential {visible(name)} from {source}, sent to {hosts}"


def _reaches(data: Mapping[str, Any]) -> Iterator[str]:
    for name, block in _blocks(data, "connectors"):
        for host in map(_host, _list(block, "egress")):
            yield f"the sandboxes of {visible(name)} may reach {host}"
    for name, block in _blocks(data, "sandboxes"):
        for key, verb in (("workspace", "may write"), ("read", "may read")):
            places = block.get(key)
            for place in places if isinstance(places, list) else [places]:
                if place is not None:
                    yield f"the sandbox {visible(name)} {verb} {_word(place)}"
        for host in map(_host, _list(block, "network")):
            yield f"the sandbox {visible(name)} may reach {host}"


def _host(reached: Any) -> str:
    return _word(reached.get("host") if isinstance(reached, dict) else reached)


def _rules(data: Mapping[str, Any]) -> Iterator[str]:
    verbs = {"allow": "allows", "ask": "asks for", "deny": "denies"}
    for name, block in _blocks(data, "connectors"):
        for rule in _list(block, "rules"):
            if isinstance(rule, dict):
                globs = ", ".join(map(_word, [*_list(rule, "tools"), *_list(rule, "messages")]))
                limits = " within limits" if {"args", "when", "flow", "budget", "rate"} & rule.keys() else ""
                effect = rule.get("effect")
                verb = verbs.get(effect, "says nothing of") if isinstance(effect, str) else "says nothing of"
                yield f"{verb} {globs} of {visible(name)}{limits}"


def _defaults(data: Mapping[str, Any]) -> Iterator[str]:
    defaults = _block(data, "defaults")
    if defaults.get("enforcement") == "permissive":
        yield "lets everything run that no rule denies (permissive)"
    if directory := _block(defaults, "state").get("directory"):
        yield f"keeps its audit log in {_word(directory)}"


def _blocks(data: Mapping[str, Any], key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, block in _block(data, key).items():
        if isinstance(block, dict):
            yield name, block


def _block(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = data.get(key)
    return found if isinstance(found, dict) else {}


def _list(data: Mapping[str, Any], key: str) -> list[Any]:
    found = data.get(key)
    return found if isinstance(found, list) else []


def _word(value: Any) -> str:
    return visible(str(value))
