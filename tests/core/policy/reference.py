"""A second decider: slow, plain, and made from the documentation of the policy file alone.

It works on plain data and shares no line with the one that it checks. Hosts and mail addresses are not parsed
here: what stands in the texts of the generator was read by hand, and is below.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

Data = dict[str, Any]
Why = tuple[str | None, str]
Charged = tuple[str, float, float, float | None, bool]

NO, UNKNOWN, YES = 0, 1, 2
WORST = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False, "openWorldHint": True}
INTEGRITY = ("external", "internal", "typed", "prompt")
CONFIDENTIALITY = ("public", "private", "secret")
SOURCES = ("prompt", "typed", "bound", "unmentioned", "internal")
LOOKS = {"read", "network-read"}
EVERYTHING = LOOKS | {
    "write",
    "delete",
    "execute",
    "network-send",
    "spend",
    "credential",
    "persist",
    "escalate",
}
PROJECT = "/home/user/project"
MESSAGES = {
    "resources/read": {"read"},
    "resources/subscribe": {"read"},
    "prompts/get": {"read"},
    "completion/complete": {"read"},
    "logging/setLevel": {"read"},
    "notifications/message": {"read"},
    "roots/list": {"read"},
    "elicitation/create": {"network-send"},
    "sampling/createMessage": {"network-send", "spend"},
}
"""What each message of the protocol does that can be permitted."""

ASKED_OF_CLIENTS = {"roots/list", "elicitation/create", "sampling/createMessage"}

WHERE: dict[str, tuple[str, int | None, bool]] = {
    "https://api.example.com/v1": ("api.example.com", 443, True),
    "https://api.example.com:443/": ("api.example.com", 443, True),
    "https://api.example.com:8443/": ("api.example.com", 8443, False),
    "http://API.Example.Com": ("api.example.com", 80, True),
    "api.example.com": ("api.example.com", None, True),
    "api.example.com:8443": ("api.example.com", 8443, False),
    "https://deep.api.example.com./x?y": ("deep.api.example.com", 443, True),
    "https://example.com/": ("example.com", 443, True),
    "https://api.example.com.evil.test/": ("api.example.com.evil.test", 443, True),
    "https://notexample.com/": ("notexample.com", 443, True),
    "https://evil.test/?api.example.com": ("evil.test", 443, True),
    "ftp://evil.test": ("evil.test", 21, True),
}
"""The host and port of each URL, and whether that is the scheme's own."""

WORD = re.compile(r"([a-z][a-z0-9]*(?:\.[a-z]+)*)(?:/[a-z/]*)?")
"""What else is a bare host. Every other text is none for certain."""

TO = {
    "ann@corp.example": ["ann@corp.example"],
    "Ann@CORP.example": ["ann@corp.example"],
    "ann@corp.example ": ["ann@corp.example"],
    "Ann Lee <ann@corp.example>": ["ann@corp.example"],
    "eve@evil.test": ["eve@evil.test"],
    "bob@corp.example": ["bob@corp.example"],
    "bob@sub.corp.example": ["bob@sub.corp.example"],
    "ann@corp.example, eve@evil.test": ["ann@corp.example", "eve@evil.test"],
    "ann@corp.example;bob@corp.example": ["ann@corp.example", "bob@corp.example"],
}
"""The mail addresses in each text. Every other text is none for certain."""


@dataclass(frozen=True)
class Said:
    """What happens to a call: how it runs if it does, what it pays, and every (rule, reason) it may be put on."""

    kind: str
    why: frozenset[Why] = frozenset()
    box: tuple[str, str] | None = None
    pays: tuple[Charged, ...] = ()
    asking: tuple[Charged, ...] = ()
    wait: float = 0.0
    overlooked: frozenset[Why] = frozenset()


@dataclass(frozen=True)
class Asked:
    """One call, and all that bears on it: where paths lead, what the session has seen and heard."""

    connector: str
    tool: str
    arguments: Data
    hints: Data
    fingerprint: str
    leads: dict[str, str | None]
    seen: Data


def judge(layers: list[Data], call: Asked) -> Said:
    """Combine the layers: one grants, each further one that names the connector must permit as well."""
    speaking = [(i, layer) for i, layer in enumerate(layers) if i == 0 or connector_of(layer, call)]
    said = [counted(one_file(layer, call), i) for i, layer in speaking]
    denials = [each.why for each in said if each.kind == "deny"]
    if denials:
        return Said("deny", frozenset().union(*denials))
    boxes = {each.box for each in said if each.box}
    if len(boxes) > 1:
        return Said("deny", frozenset((rule, "ambiguous") for each in said for rule, _ in each.why))
    asks = [each for each in said if each.kind != "allow"]
    return Said(
        min((each.kind for each in asks), default="allow"),  # "ask" is before "classify"
        frozenset().union(*(each.why for each in asks or said)),
        next(iter(boxes), None),
        tuple(charge for each in said for charge in each.pays),
        tuple(charge for each in asks for charge in each.asking),
        min((each.wait for each in asks), default=0.0),
        frozenset().union(*(each.overlooked for each in said)),
    )


def counted(said: Said, layer: int) -> Said:
    """Let every narrowing layer keep its own count."""
    mark = f" of layer{layer}.yaml" if layer else ""
    pays = tuple((key + mark, limit, n, per_s, ask) for key, limit, n, per_s, ask in said.pays)
    asking = tuple((key + mark, limit, n, per_s, ask) for key, limit, n, per_s, ask in said.asking)
    return replace(said, pays=pays, asking=asking)


def connector_of(policy: Data, call: Asked) -> Data | None:
    """Find the connector by its name, or the one that stands for all the others."""
    connectors = policy["connectors"]
    name = call.connector if call.connector in connectors else "*"
    return {"name": name, "rules": []} | connectors[name] if call.connector and name in connectors else None


def one_file(policy: Data, call: Asked) -> Said:
    """Say what one policy file says."""
    connector = connector_of(policy, call)
    if connector is None:
        return Said("deny", frozenset({(None, "unknown-connector")}))
    rules = [
        rule | {"name": f"{connector['name']}.{rule['id']}"}
        for rule in connector["rules"]
        if speaks(rule, connector, call)
    ]
    if why := set(barred(connector, rules, call)):
        return Said("deny", frozenset(why))
    stand = [(rule, stands(rule, call, policy)) for rule in rules]
    if any(standing == "deny" for _, standing in stand):
        return Said(
            "deny", frozenset(why for r, s in stand if s == "deny" for why in denies(r, call, policy))
        )
    consenting = [(rule, standing) for rule, standing in stand if standing]
    if consenting:
        return permit(policy, connector, call, consenting)
    if not rules and policy.get("defaults", {}).get("unknown_tool") == "ask" and not needs_a_rule(call.tool):
        return permit(policy, connector, call, [({"name": "unknown_tool", "effect": "ask"}, "ask")])
    grants = [rule for rule in rules if rule["effect"] != "deny"]
    why = {(r["name"], reason) for r in grants for reason in unmet(r, call, policy)} or {(None, "no-rule")}
    if policy.get("defaults", {}).get("enforcement") != "permissive" or needs_a_rule(call.tool):
        return Said("deny", frozenset(why))
    ran = permit(policy, connector, call, [({"name": "permissive", "effect": "allow"}, "allow")])
    return replace(ran, overlooked=ran.overlooked | why)


def barred(connector: Data, rules: list[Data], call: Asked) -> Iterator[Why]:
    """Say what no rule can permit: a tool that is not the pinned one, and a path to blastwall's own files."""
    pins = {} if call.tool.startswith("mcp:") else connector.get("pin")
    if pins and pins.get(call.tool) != call.fingerprint:
        yield None, "changed"
    if any(own(call.leads.get(path)) for rule in rules for path in paths(rule, call)):
        yield None, "constraint"


def own(path: str | None) -> bool:
    """Say whether a path leads to the policy's own file or into its state folder."""
    return path is not None and (path == os.path.abspath("policy.yaml") or f"{path}/".startswith("/state/"))


def paths(rule: Data, call: Asked) -> Iterator[str]:
    """Give the texts in which a rule sees paths."""
    for name, demand in rule.get("args", {}).items():
        value = find(name, call.arguments)[1] if "under" in demand else None
        yield from (text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str))


def speaks(rule: Data, connector: Data, call: Asked) -> bool:
    """Say whether a rule speaks of the tool; an untrusted server's own hints don't count."""
    supposed = WORST | (call.hints if connector.get("trust_annotations") else {})
    wanted = rule.get("when", {}).get("annotations", {})
    return named(rule, call.tool) and all(supposed[hint] == value for hint, value in wanted.items())


def named(rule: Data, tool: str) -> bool:
    """Say whether a rule names a tool, or, if it is on messages, a message that can be permitted."""
    if not tool.startswith("mcp:"):
        return any(fits(glob, tool) for glob in rule.get("tools", ()))
    method = tool[4:]
    return method in MESSAGES and any(fits(glob, method) for glob in rule.get("messages", ()))


def needs_a_rule(tool: str) -> bool:
    """Say whether only a rule permits this: what servers ask of clients, and what nobody knows."""
    return tool.startswith("mcp:") and (tool[4:] in ASKED_OF_CLIENTS or tool[4:] not in MESSAGES)


def fits(glob: str, tool: str) -> bool:
    """Match a glob, letter by letter."""
    if not glob or not tool:
        return not tool and not glob.strip("*")
    if glob[0] == "*":
        return fits(glob[1:], tool) or fits(glob, tool[1:])
    return glob[0] in ("?", tool[0]) and fits(glob[1:], tool[1:])


# --- one rule -----------------------------------------------------------------------------------------


def stands(rule: Data, call: Asked, policy: Data) -> str | None:
    """Say what one rule says: `deny`, `ask`, `allow`, or nothing."""
    deny = rule["effect"] == "deny"
    demands = rule.get("args", {}).items()
    held = min((argument(name, demand, call, deny) for name, demand in demands), default=YES)
    if deny:
        return None if held == NO else "deny"
    if held == YES and not any(flow(rule, call, policy)):
        return str(rule["effect"])
    if rule["effect"] == "ask" and held != NO:
        return "deny" if held == UNKNOWN else rule.get("otherwise", "deny")
    return rule.get("otherwise")


def denies(rule: Data, call: Asked, policy: Data) -> Iterator[Why]:
    """Say for what a rule that denies does so."""
    if rule["effect"] == "deny":
        yield rule["name"], "rule"
    else:
        yield from ((rule["name"], reason) for reason in unmet(rule, call, policy))


def unmet(rule: Data, call: Asked, policy: Data) -> Iterator[str]:
    """Give the kinds of demand that a call does not meet."""
    for name, demand in rule.get("args", {}).items():
        if argument(name, demand, call, deny=False) != YES:
            yield "constraint"
    yield from flow(rule, call, policy)


def find(name: str, arguments: Data) -> tuple[int, Any]:
    """Say whether an argument is there, and give it."""
    if "." in name and name in arguments:
        return UNKNOWN, None
    value: Any = arguments
    for step in name.split("."):
        if value is None:
            return NO, None
        if not isinstance(value, dict):
            return UNKNOWN, None
        if step not in value:
            return NO, None
        value = value[step]
    return YES, value


def argument(name: str, demand: Data, call: Asked, deny: bool) -> int:
    """Say whether one argument is as demanded."""
    there, value = find(name, call.arguments)
    checked = demand.keys() - {"max_items", "optional"}
    absent = YES if demand.get("optional") else NO
    if there == UNKNOWN:
        return UNKNOWN
    if there == NO or (value == [] and checked):
        return absent
    members = value if isinstance(value, list) else [value]
    length = YES if len(members) <= demand.get("max_items", len(members)) else NO
    each = [min((one(key, demand[key], m, call) for key in checked), default=YES) for m in members]
    whole = max if deny and checked and isinstance(value, list) else min
    held = min(length, whole(each, default=YES))
    return absent if value is None and held != YES else held


def one(key: str, wanted: Any, value: Any, call: Asked) -> int:  # noqa: C901  # one line for each demand
    """Say whether one value meets one demand."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match key:
        case "enum":
            alike = [w for w in wanted if type(w) is type(value) or {type(w), type(value)} == {int, float}]
            return YES if value in alike else NO if alike else UNKNOWN
        case "pattern" if isinstance(value, str):
            return YES if re.fullmatch(wanted, value) else NO
        case "minimum" if number:
            return YES if value >= wanted else NO
        case "maximum" if number:
            return YES if value <= wanted else NO
        case "max_length" if isinstance(value, str):
            return YES if len(value) <= wanted else NO
        case "under" if isinstance(value, str):
            roots = [os.path.normpath(os.path.join(PROJECT, root)) for root in wanted]
            return leads_into(call.leads.get(value), roots)
        case "hosts" if isinstance(value, str) and (value in WHERE or WORD.fullmatch(value.lower())):
            place = WHERE.get(value) or (value.lower().partition("/")[0], None, True)
            return max(host(pattern, *place) for pattern in wanted)
        case "recipients" if isinstance(value, str) and value in TO:
            listed = {listed_in(wanted, address) for address in TO[value]}
            return UNKNOWN if len(listed) > 1 else YES if True in listed else NO
        case _:
            return UNKNOWN


def leads_into(path: str | None, roots: list[str]) -> int:
    """Say whether a path leads to a folder or below."""
    if path is None:
        return UNKNOWN
    return YES if any(os.path.commonpath([path, root]) == root for root in roots) else NO


def host(pattern: str, name: str, port: int | None, standard: bool) -> int:
    """Say whether a pattern covers a place. Another port of a host that it covers can't be said."""
    wanted, _, wanted_port = pattern.partition(":")
    below = wanted.startswith("*.") and name.endswith(wanted[1:])
    if not below and name != wanted:
        return NO
    if not wanted_port:
        return YES if standard else UNKNOWN
    return UNKNOWN if port is None else YES if port == int(wanted_port) else NO


def listed_in(entries: list[str], address: str) -> bool:
    """Say whether an address, or everybody at its domain, is in a list."""
    return address in entries or address[address.index("@") :] in entries


# --- where the data comes from --------------------------------------------------------------------------


def flow(rule: Data, call: Asked, policy: Data) -> Iterator[str]:
    """Give the kinds of demand on data and words that a call does not meet."""
    block = rule.get("flow", {})
    wish = block.get("intent")
    if wish and times(call, wish["verbs"], wish.get("objects")) == 0:
        yield "intent"
    records = policy.get("trusted_records", {})
    content = block.get("content", {})
    named = [name for name in [*block.get("control", {}), *content.get("args", [])] if name != "*"]
    for name, sources in block.get("control", {}).items():
        if "." in name and name in call.arguments:
            yield "flow"
        ruled = [leaf for leaf in call.seen["traced"] if under_control(leaf, name, named)]
        yield from ("flow" for leaf in ruled if not steered(leaf, sources, records))
    for leaf in call.seen["traced"]:
        links = [link_may_leave(link, content.get("links", "any"), records) for link in leaf["links"]]
        limit = content.get("max_confidentiality", "secret")
        if not all(links) or CONFIDENTIALITY.index(secrecy(leaf, call.seen)) > CONFIDENTIALITY.index(limit):
            yield "flow"
    yield from ("flow" for name in block.get("bounded", {}) if number(name, call) is None)


def under_control(leaf: Data, name: str, named: list[str]) -> bool:
    """Say whether an entry of `control` speaks of a value; `*` speaks of what no other entry does."""
    return inside(leaf, name) if name != "*" else not any(inside(leaf, other) for other in named)


def inside(leaf: Data, name: str) -> bool:
    """Say whether a value stands in an argument; positions in lists are invisible."""
    steps = [step for step in leaf["path"] if isinstance(step, str)]
    return steps[: name.count(".") + 1] == name.split(".")


def steered(leaf: Data, sources: list[str], records: Data) -> bool:
    """Say whether a value, or each of the links that it is a list of, has one of the sources."""
    value, links = leaf["value"], leaf["links"]
    if value in (None, "") or vouched(value, leaf["whole"], sources, records):
        return True
    if not isinstance(value, str) or not links:
        return False
    rest = value
    for link in links:
        rest = rest.replace(link["text"], "", 1)
    only_links = set(rest) <= set(" ,;<>")
    return only_links and all(vouched(link["text"], link["origins"], sources, records) for link in links)


def vouched(value: Any, origins: list[Data], sources: list[str], records: Data) -> bool:
    """Say whether a value has one of the sources."""
    if any(recorded(value, records[name]) for name in sources if name in records):
        return True
    outside = any(o["integrity"] == "external" and o["prose"] for o in origins)
    for origin in origins:
        typed = origin["integrity"] in ("typed", "prompt")
        is_so = {
            "prompt": origin["integrity"] == "prompt",
            "typed": typed,
            "bound": typed and origin["bound"],
            "unmentioned": typed and not outside,
            "internal": origin["integrity"] != "external",
        }
        if any(is_so[source] for source in sources if source in SOURCES):
            return True
    return False


def recorded(value: Any, entries: list[str]) -> bool:
    """Say whether trusted records list a value, or every mail address in it."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return False
    if str(value).lower() in [entry.lower() for entry in entries if not entry.startswith("@")]:
        return True
    return str(value) in TO and all(listed_in(entries, address) for address in TO[str(value)])


def secrecy(leaf: Data, seen: Data) -> str:
    """Say how secret a value is. Texts under four letters are everywhere; what the user wrote is the user's."""
    if any(origin["integrity"] == "prompt" for origin in leaf["whole"]):
        return "public"
    levels = [origin["confidentiality"] for origin in leaf["parts"]]
    if len(str(leaf["value"])) >= 4:
        levels += [origin["confidentiality"] for origin in leaf["whole"]]
        if seen["forgotten"] and not leaf["whole"] and isinstance(leaf["value"], str):
            levels.append(seen["confidentiality"])
    return max(levels, key=CONFIDENTIALITY.index, default="public")


def link_may_leave(link: Data, links: str, records: Data) -> bool:
    """Say whether a link may stand in the arguments."""
    if links != "traced":
        return links == "any"
    inner = any(origin["integrity"] != "external" for origin in link["origins"])
    return inner or any(recorded(link["text"], entries) for entries in records.values())


def number(name: str, call: Asked) -> float | None:
    """Give the number that is to be added up, if it is one."""
    value: Any = call.arguments
    for step in name.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    sums = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    return float(value) if sums else None


def times(call: Asked, verbs: list[str], objects: list[str] | None = None) -> int | None:
    """Say how often the user asked for this; None when without a number."""
    found = [
        wish["times"]
        for wish in call.seen["wishes"]
        if wish["verb"] in verbs and (not objects or wish["object"] in objects)
    ]
    return None if None in found else sum(found)


# --- the session, and what a call pays ------------------------------------------------------------------


def permit(policy: Data, connector: Data, call: Asked, consenting: list[tuple[Data, str]]) -> Said:
    """Say how a call runs that no rule denies."""
    top = "ask" if any(standing == "ask" for _, standing in consenting) else "allow"
    why = frozenset((rule["name"], "") for rule, standing in consenting if standing == top)
    known = policy.get("sandboxes", {})
    boxes = {(r["sandbox"], str(known.get(r["sandbox"]))) for r, _ in consenting if "sandbox" in r}
    if len(boxes) > 1:
        return Said("deny", frozenset((rule, "ambiguous") for rule, _ in why))
    does = effects(connector, call)
    defaults = policy.get("defaults", {})
    wished = any(rule.get("flow", {}).get("intent") for rule, _ in consenting) or call.tool.startswith("mcp:")
    broken = list(session_demands(policy.get("session", {}), does, call, wished))
    pays = [charge for rule, _ in consenting for charge in rule_pays(rule, call)]
    pays += session_pays(policy.get("session", {}), does, call)
    said = Said("allow", why, next(iter(boxes), None), tuple(pays))
    refused = frozenset((rule, reason) for level, reason in broken if level == "deny" for rule, _ in why)
    if refused:
        if defaults.get("enforcement") != "permissive" or needs_a_rule(call.tool):
            return Said("deny", refused)
        said = replace(said, overlooked=refused)
    if top == "allow" and all(level == "deny" for level, _ in broken):
        return said
    approval = defaults.get("approval", {})
    asks = policy.get("session", {}).get("budget", {}).get("asks")
    return replace(
        said,
        kind="classify" if approval.get("mode") == "auto" else "ask",
        asking=() if asks is None else (("session asks", asks, 1, None, False),),
        wait=approval.get("timeout_s", 120.0),
    )


def effects(connector: Data, call: Asked) -> set[str]:
    """Say what a tool does: as described and as its own server says beyond that, or the worst."""
    entries = connector.get("effects", {}).items()
    message = call.tool.startswith("mcp:")
    written = [
        does
        for globs, does in entries
        if any(g.startswith("mcp:") is message and fits(g, call.tool) for g in globs.split("|"))
    ]
    if message:
        return set(MESSAGES.get(call.tool[4:], EVERYTHING)).union(*written)
    hints = WORST | call.hints
    if not written:
        if not connector.get("trust_annotations") or hints == WORST:
            return set(EVERYTHING)
        if hints["readOnlyHint"]:
            return {"read"} | ({"network-read"} if hints["openWorldHint"] else set())
        does = {"read", "write"} | ({"delete"} if hints["destructiveHint"] else set())
        return does | ({"network-send"} if hints["openWorldHint"] else set())
    does = set().union(*written)
    said = call.hints
    if said.get("readOnlyHint") is False:
        does.add("write")
    if said.get("destructiveHint") is True and not hints["readOnlyHint"]:
        does.add("delete")
    if said.get("openWorldHint") is True:
        does.add("network-read" if does <= LOOKS else "network-send")
    return does


def session_demands(session: Data, does: set[str], call: Asked, wished: bool) -> Iterator[tuple[str, str]]:
    """Give the demands of the session that a call does not meet."""
    seen = call.seen
    untrusted = seen["integrity"] == "external"
    if "rule_of_two" in session and untrusted and seen["confidentiality"] != "public" and does - {"read"}:
        yield session["rule_of_two"], "flow"
    if (
        "intent" in session
        and not wished
        and does - LOOKS
        and times(call, seen["verbs"], seen["objects"]) == 0
    ):
        yield session["intent"], "intent"


def rule_pays(rule: Data, call: Asked) -> Iterator[Charged]:
    """Give what a call uses up of a rule's rate, budget, sums and of what the user asked for."""
    ask = rule.get("otherwise") == "ask"
    block = rule.get("flow", {})
    if "rate" in rule:
        yield f"{rule['name']} rate", rule["rate"]["max"], 1, rule["rate"]["per_s"], ask
    if "budget" in rule:
        yield f"{rule['name']} budget", rule["budget"]["session"], 1, None, ask
    for name, bound in block.get("bounded", {}).items():
        amount = number(name, call)
        if amount is not None:
            yield f"{rule['name']} sum {name}", bound["max_sum"], amount, bound.get("per_s"), ask
    wish = block.get("intent", {})
    if wish.get("count"):
        count = times(call, wish["verbs"], wish.get("objects"))
        if count is not None:
            yield f"{rule['name']} asked for", count, 1, None, ask


def session_pays(session: Data, does: set[str], call: Asked) -> Iterator[Charged]:
    """Give what a call uses up of the session's budgets."""
    budget = session.get("budget", {})
    counted = {"calls": True, "writes": bool(does - LOOKS), "destructive": "delete" in does}
    for name, counts in counted.items():
        if counts and name in budget:
            yield f"session {name}", budget[name], 1, None, False
    count = times(call, call.seen["verbs"], call.seen["objects"])
    if "intent" in session and "delete" in does and count:
        yield f"{call.connector}.{call.tool} asked for", count, 1, None, session["intent"] == "ask"


# --- a connector by itself, for the properties in test_decide ---------------------------------------------

NOTHING: Data = {
    "traced": [],
    "wishes": [],
    "verbs": [],
    "objects": [],
    "integrity": "prompt",
    "confidentiality": "public",
    "forgotten": False,
}


def decide(connector: Data, tool: str, arguments: Data, hints: Data) -> str:
    """Say `deny`, or how it runs: `allow`, `ask`, and `in <sandbox>` behind it."""
    texts = [v for value in arguments.values() for v in (value if isinstance(value, list) else [value])]
    leads = {
        text: None if text.startswith("~") else os.path.normpath(os.path.join(PROJECT, text))
        for text in texts
        if isinstance(text, str)
    }
    said = judge(
        [{"connectors": {"files": connector}}], Asked("files", tool, arguments, hints, "", leads, NOTHING)
    )
    return f"{said.kind} in {said.box[0]}" if said.box else said.kind
