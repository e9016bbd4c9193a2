"""Policies and calls made at random, as plain data, where two deciders could come to differ.

Biased: globs overlap, values are near misses or of the wrong type, paths lead elsewhere, origins are mixed.
"""

from collections.abc import Iterator
from random import Random
from typing import Any

from tests.core.policy.reference import SOURCES, TO, WHERE, WORST, Asked, Data

TOOLS = ("get_mail", "get_mails", "send_mail", "delete_mail", "pay", "p")
MESSAGES = ("mcp:resources/read", "mcp:elicitation/create", "mcp:sampling/createMessage", "mcp:roots/list")
UNKNOWN = "mcp:tools/list"
METHODS = ("*", "*", "resources/*", "*/create*", "sampling/?*", "elicitation/create", "roots/list")
GLOBS = (*["*"] * 6, "get_*", "*_mail", "*mail*", "?ay", "p*", "send_mail", "get_mail", "p", "x", "?*")
CONNECTORS = (*["mail"] * 24, "bank", "bank", "other", "")
PINS = {"send_mail": "a" * 64, "p": "b" * 64}
EFFECTS = ("read", "write", "delete", "network-read", "network-send", "spend")
LOOKING = ((), ("read",), ("read", "network-read"), ("read", "network-read"))
VERBS = ("send", "get", "delete", "pay", "frobnicate")
OBJECTS = ("mail", "bill")
BOXES = {"box": {"workspace": "./work"}, "cage": {"timeout_s": 5}}
OTHER_BOXES = {"box": {"workspace": "./work"}, "cage": {"timeout_s": 6}}
RECORDS = {
    "people": ["ann@corp.example", "@corp.example"],
    "payees": ["DE89370400440532013000", "7"],
    "sites": ["https://api.example.com/v1"],
}
LEADS = {
    "a.txt": "/home/user/project/a.txt",
    ".": "/home/user/project",
    "../x": "/home/user/x",
    "/srv/data/a": "/srv/data/a",
    "/srv/data2": "/srv/data2",
    "/srv/data/../etc": "/srv/etc",
    "link/x": "/etc/shadow",
    "inside/link": "/srv/data/deep/x",
    "~x": None,
    "/": "/",
    "state": "/state/audit.jsonl",
}
"""Path texts and where they lead, links followed."""

VALUES: dict[str, tuple[Any, ...]] = {
    "to": (*TO, "@corp.example", "ann", "", None, 7),
    "path": (*LEADS, "nowhere", 5, None, ""),
    "amount": (0, 1, 1.0, 5, 5.000001, 4.999999, -1, -0.0, "5", True, None, 2**53, 100, 99.5),
    "url": (*WHERE, "https://api.example.com@evil.test/", "https:\\evil.test", "gopher://x", 443, None),
    "note": (
        "",
        "abc",
        "abcd",
        "abcde",
        "ABC",
        "hello there",
        "x" * 40,
        None,
        3,
        True,
        "DE89370400440532013000",
    ),
    "flag": (True, False, "true", 1, 0, 1.0, None, "a"),
    "payee": ("DE89370400440532013000", "de89370400440532013000", "DE8937040044053201300", 7, 7.0, "7", True),
}
NAMES = (*VALUES, "deep.amount", "deep.to")


def cases(seed: object, calls: int = 40) -> Iterator[tuple[list[Data], list[Asked]]]:
    """Give layers of policies, each with so many calls, for ever."""
    rng = Random(str(seed))
    while True:
        layers = [policy(rng) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
        yield layers, [asked(rng) for _ in range(calls)]


def some(rng: Random, chance: float) -> bool:
    """Say yes this often."""
    return rng.random() < chance


def few(rng: Random, pool: tuple[Any, ...], most: int = 3) -> list[Any]:
    """Give one to `most` of a pool, none twice."""
    return list(dict.fromkeys(rng.choice(pool) for _ in range(rng.randint(1, most))))


# --- policies -------------------------------------------------------------------------------------------


def policy(rng: Random) -> Data:
    """Make one policy file."""
    named = {rng.choice(("mail", "mail", "mail", "mail", "*")), rng.choice(("mail", "bank", "*"))}
    approval = {"mode": rng.choice(("ask", "ask", "ask", "auto")), "timeout_s": rng.choice((60.0, 120.0))}
    defaults = {
        "enforcement": "permissive" if some(rng, 0.1) else "enforcing",
        "unknown_tool": "ask" if some(rng, 0.15) else "deny",
        "approval": approval,
    }
    return {
        "version": 1,
        "defaults": defaults,
        "session": session(rng) if some(rng, 0.4) else {},
        "trusted_records": RECORDS,
        "connectors": {name: connector(rng) for name in sorted(named)},
        "sandboxes": OTHER_BOXES if some(rng, 0.2) else BOXES,
    }


def session(rng: Random) -> Data:
    """Make a session's demands and budgets."""
    block: Data = {}
    for key in ("rule_of_two", "intent"):
        if some(rng, 0.4):
            block[key] = rng.choice(("ask", "deny"))
    budget = {
        key: rng.choice((0, 1, 20)) for key in ("calls", "writes", "destructive", "asks") if some(rng, 0.4)
    }
    return block | ({"budget": budget} if budget else {})


def connector(rng: Random) -> Data:
    """Make one connector."""
    trusted = some(rng, 0.3)
    block: Data = {
        "trust_annotations": trusted,
        "rules": [
            {"id": f"r{i}"} | rule(rng, trusted) for i in range(rng.choice((0, 1, 1, 2, 2, 2, 3, 3, 4)))
        ],
    }
    if some(rng, 0.06):
        block["pin"] = {name: PINS[name] for name in few(rng, tuple(PINS))}
    if some(rng, 0.6):
        globs = ("*", "get_*|p", "send_mail|pay", "delete_*", "*_mail", "mcp:resources/*|p")
        block["effects"] = {
            name: few(rng, EFFECTS, 2) if some(rng, 0.7) else list(rng.choice(LOOKING))
            for name in few(rng, globs, 2)
        }
    return block


def rule(rng: Random, trusted: bool) -> Data:
    """Make one rule that is no mistake."""
    block: Data = {
        "effect": rng.choice(("allow", "allow", "allow", "ask", "deny")),
        "tools": few(rng, GLOBS, 2),
    }
    if messages := some(rng, 0.15):
        block["messages"] = few(rng, METHODS, 2)
        del block["tools"]
    if some(rng, 0.5):
        block["args"] = {name: demand(rng, name) for name in few(rng, NAMES, 2)}
    if trusted and not messages and some(rng, 0.4):
        block["when"] = {"annotations": {hint: some(rng, 0.5) for hint in few(rng, tuple(WORST), 2)}}
    if block["effect"] == "deny":
        return block
    block |= extras(rng, block)
    if messages:  # what servers ask runs in no sandbox, and only so often
        block.pop("sandbox", None)
        block.setdefault("budget", {"session": 5})
    return block


def extras(rng: Random, block: Data) -> Data:
    """Make what only a rule that lets something run may have."""
    more: Data = {"flow": flow(rng)} if some(rng, 0.4 if "args" in block else 0.7) else {}
    if some(rng, 0.2):
        more["sandbox"] = rng.choice(tuple(BOXES))
    if some(rng, 0.15):
        more["rate"] = {"max": rng.choice((1, 5)), "per_s": rng.choice((60.0, 3600.0))}
    if some(rng, 0.15):
        more["budget"] = {"session": rng.choice((0, 1, 5))}
    if some(rng, 0.35) and (block | more).keys() & {"args", "flow", "when", "rate", "budget"}:
        more["otherwise"] = rng.choice(("ask", "ask", "deny"))
    return more


def demand(rng: Random, name: str) -> Data:
    """Make the demand on one argument; mostly one that fits its values."""
    made: Data = DEMANDS[name.rpartition(".")[2] if some(rng, 0.9) else rng.choice(tuple(VALUES))](rng)
    if some(rng, 0.25):
        made["optional"] = some(rng, 0.8)
    if some(rng, 0.2):
        made["max_items"] = rng.randint(0, 2)
    return made


def _bounds(rng: Random) -> Data:
    low, high = rng.choice((0, 1, 1.0, 5)), rng.choice((5, 5.0, 99.5, 100))
    return rng.choice(({"minimum": low}, {"maximum": high}, {"minimum": low, "maximum": high}))


DEMANDS: dict[str, Any] = {
    "to": lambda rng: {"recipients": few(rng, ("ann@corp.example", "@corp.example", "@evil.test"), 2)},
    "path": lambda rng: {"under": few(rng, (".", "/srv/data", "/", "/home/user", "/state", "sub"), 2)},
    "amount": _bounds,
    "url": lambda rng: {
        "hosts": few(rng, ("api.example.com", "*.example.com", "api.example.com:8443", "evil.test"), 2)
    },
    "note": lambda rng: rng.choice(
        (
            {"pattern": "[a-c]+"},
            {"pattern": "(?s).*e.*"},
            {"max_length": 3},
            {"max_length": 4, "pattern": "a.*"},
        )
    ),
    "flag": lambda rng: {"enum": few(rng, (True, False, 1, "true", None, "a", 1.0))},
    "payee": lambda rng: {"enum": few(rng, ("DE89370400440532013000", 7, "7"))},
}


def flow(rng: Random) -> Data:
    """Make demands on data and words: at least one."""
    block: Data = {}
    if some(rng, 0.6):
        names = few(rng, ("*", "to", "path", "note", "amount", "deep.to", "deep", "payee"), 2)
        usual = few(rng, (*SOURCES, *RECORDS)) if some(rng, 0.7) else [rng.choice(SOURCES)]
        block["control"] = dict.fromkeys(names, usual)
    if some(rng, 0.4):
        block["content"] = content(rng)
    if some(rng, 0.3):
        bound = {"max_sum": rng.choice((10.0, 1000.0))} | ({"per_s": 86400.0} if some(rng, 0.5) else {})
        block["bounded"] = {rng.choice(("amount", "deep.amount")): bound}
    if some(rng, 0.3) or not block:
        block["intent"] = {"verbs": few(rng, VERBS, 2), "count": some(rng, 0.5)}
        if some(rng, 0.5):
            block["intent"]["objects"] = few(rng, OBJECTS)
    return block


def content(rng: Random) -> Data:
    """Make demands on what may leave."""
    block: Data = {"args": few(rng, ("note", "to", "deep"), 2)}
    if some(rng, 0.7):
        block["max_confidentiality"] = rng.choice(("public", "private", "secret"))
    if some(rng, 0.6):
        block["links"] = rng.choice(("traced", "traced", "none", "any"))
    return block


# --- calls ----------------------------------------------------------------------------------------------


def asked(rng: Random) -> Asked:
    """Make one call, and what the session that makes it has seen."""
    tool = rng.choice((*TOOLS * 4, *MESSAGES, UNKNOWN))
    given = arguments(rng)
    hints = {hint: some(rng, 0.5) for hint in few(rng, tuple(WORST))} if some(rng, 0.4) else {}
    pinned = PINS.get(tool, "") if some(rng, 0.8) else ""
    return Asked(rng.choice(CONNECTORS), tool, given, hints, pinned, LEADS, seen(rng, given))


def arguments(rng: Random) -> Data:
    """Make the arguments."""
    given: Data = {name: value(rng, name) for name in VALUES if some(rng, 0.45)}
    if some(rng, 0.3):
        given["deep"] = {name: value(rng, name) for name in ("amount", "to") if some(rng, 0.7)}
    if some(rng, 0.05):
        given[rng.choice(("deep", "deep.amount", "deep.to"))] = rng.choice((1, "x", None, [], {"amount": {}}))
    return given


def value(rng: Random, name: str) -> Any:
    """Make one value: now and then a list, or one that belongs elsewhere."""
    pool = VALUES[name] if some(rng, 0.92) else VALUES[rng.choice(tuple(VALUES))]
    shape = rng.random()
    if shape < 0.82:
        return rng.choice(pool)
    return [rng.choice(pool) for _ in range(rng.randint(0, 3))] if shape < 0.98 else {"to": rng.choice(pool)}


def seen(rng: Random, given: Data) -> Data:
    """Make what a session has seen and heard, in general and of each value."""
    wishes = [
        {"verb": rng.choice(VERBS), "object": rng.choice(OBJECTS), "times": rng.choice((1, 1, 2, None))}
        for _ in range(rng.choice((0, 1, 1, 2)))
    ]
    usual = rng.choice(ORIGINS), rng.choice(ORIGINS)
    return {
        "traced": [leaf(rng, path, scalar, usual) for path, scalar in leaves(given)],
        "wishes": wishes,
        "integrity": rng.choice(("external", "external", "internal", "prompt")),
        "confidentiality": rng.choice(("public", "private", "secret")),
        "forgotten": some(rng, 0.2),
    }


def leaves(given: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Give every scalar, with the way to it."""
    if isinstance(given, dict | list):
        for step, inner in given.items() if isinstance(given, dict) else enumerate(given):
            yield from leaves(inner, (*path, step))
    else:
        yield path, given


def _origin(integrity: str, confidentiality: str, prose: bool = False, bound: bool = False) -> Data:
    return {"integrity": integrity, "confidentiality": confidentiality, "prose": prose, "bound": bound}


PROMPT = _origin("prompt", "public", prose=True)
ORIGINS = (
    PROMPT,
    PROMPT,
    _origin("typed", "private"),
    _origin("typed", "private", bound=True),
    _origin("typed", "secret", prose=True),
    _origin("internal", "private"),
    _origin("internal", "public", bound=True),
    _origin("external", "private"),
    _origin("external", "public", prose=True),
    _origin("external", "secret", prose=True, bound=True),
)


def leaf(rng: Random, path: tuple[Any, ...], scalar: Any, usual: tuple[Data, ...]) -> Data:
    """Make what is known of one value: mostly what is known of the others of its call."""
    pool = usual if some(rng, 0.7) else ORIGINS
    links: list[Data] = []
    if isinstance(scalar, str) and ("@" in scalar or "://" in scalar) and some(rng, 0.7):
        texts = scalar.replace(";", ",").split(",") if some(rng, 0.7) else [scalar[:-1]]
        links = [{"text": text.strip(), "origins": origins(rng, pool)} for text in texts]
    whole = origins(rng, pool)
    parts = [rng.choice(pool)] if some(rng, 0.1) else []
    return {"path": path, "value": scalar, "whole": whole, "parts": parts, "links": links}


def origins(rng: Random, pool: tuple[Data, ...]) -> list[Data]:
    """Make where a value was seen: nowhere, or in one place or two."""
    return [rng.choice(pool) for _ in range(rng.choice((0, 1, 1, 1, 2)))]
