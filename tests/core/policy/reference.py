"""A second decider: slow, plain, and made from the documentation of the policy file alone."""

import os
import re
from typing import Any

Data = dict[str, Any]
NO, UNKNOWN, YES = 0, 1, 2
WORST = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False, "openWorldHint": True}


def decide(connector: Data, tool: str, arguments: Data, hints: Data) -> str:
    """Say `deny`, or how it runs: `allow`, `ask`, and `in <sandbox>` behind it."""
    supposed = hints if connector["trust_annotations"] else WORST
    standings, boxes = set(), set()
    for rule in connector["rules"]:
        wanted = rule.get("when", {}).get("annotations", {})
        if not any(fits(glob, tool) for glob in rule["tools"]) or any(
            supposed[k] != v for k, v in wanted.items()
        ):
            continue
        standing = stands(rule, arguments)
        if standing:
            standings.add(standing)
            boxes |= {rule["sandbox"]} if "sandbox" in rule else set()
    if "deny" in standings or not standings or len(boxes) > 1:
        return "deny"
    return " in ".join(["ask" if "ask" in standings else "allow", *boxes])


def fits(glob: str, tool: str) -> bool:
    """Match a glob, letter by letter."""
    if not glob or not tool:
        return not tool and not glob.strip("*")
    if glob[0] == "*":
        return fits(glob[1:], tool) or fits(glob, tool[1:])
    return glob[0] in ("?", tool[0]) and fits(glob[1:], tool[1:])


def stands(rule: Data, arguments: Data) -> str | None:
    """Say what one rule says."""
    deny = rule["effect"] == "deny"
    held = min(
        (argument(demand, arguments.get(name), deny) for name, demand in rule["args"].items()), default=YES
    )
    if deny:
        return None if held == NO else "deny"
    if held == YES:
        return str(rule["effect"])
    return "deny" if held == UNKNOWN and rule["effect"] == "ask" else rule.get("otherwise")


def argument(demand: Data, value: Any, deny: bool) -> int:
    """Say whether one argument is as demanded. No argument here is null, so None is an absent one."""
    absent = YES if demand.get("optional") else NO
    checked = demand.keys() & {"enum", "pattern", "minimum", "maximum", "under"}
    if value is None or (value == [] and checked):
        return absent
    members = value if isinstance(value, list) else [value]
    length = YES if len(members) <= demand.get("max_items", len(members)) else NO
    each = [min((one(key, demand[key], m) for key in checked), default=YES) for m in members]
    whole = max if deny and checked and isinstance(value, list) else min
    return min(length, whole(each, default=YES))


def one(key: str, wanted: Any, value: Any) -> int:
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
        case "under" if isinstance(value, str) and not value.startswith("~"):
            path = os.path.normpath(os.path.join("/home/user/project", value))
            return YES if any(os.path.commonpath([path, root]) == root for root in wanted) else NO
        case _:
            return UNKNOWN
