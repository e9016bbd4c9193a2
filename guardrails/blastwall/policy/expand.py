"""Shipped templates, laid under what a policy file writes itself."""

from collections.abc import Iterator
from typing import Any

from blastwall.policy import shipped
from blastwall.policy.flows import SOURCES
from blastwall.policy.meant import near
from blastwall.policy.source import Mistake

Block = dict[str, Any]


def expanded(data: Any, mistakes: list[Mistake]) -> Any:
    """Give a policy's data with its templates put in; what is wrong with them goes to `mistakes`.

    A user's rule replaces the template's rule of the same id. The user's rules come first, so that their
    places in the file stay their places in the data.
    """
    if not isinstance(data, dict):
        return data
    whole = dict(data)
    needed: dict[str, list[str]] = {}
    if isinstance(connectors := data.get("connectors"), dict):
        laid = {name: _connector(name, block, mistakes, needed) for name, block in connectors.items()}
        whole["connectors"] = laid
    if isinstance(sandboxes := data.get("sandboxes"), dict):
        whole["sandboxes"] = {name: _sandbox(name, block, mistakes) for name, block in sandboxes.items()}
    given = data.get("trusted_records", {})
    if needed and isinstance(given, dict):
        whole["trusted_records"] = needed | given
    return whole


def _connector(name: str, block: Any, mistakes: list[Mistake], needed: dict[str, list[str]]) -> Any:
    chosen = block.get("template") if isinstance(block, dict) else None
    if not isinstance(chosen, str):
        return block
    loc = ("connectors", name, "template")
    if chosen not in shipped.names():
        mistakes.append(Mistake(loc, f"no template {chosen!r}{near(chosen, shipped.names())}"))
        return block
    given = block.get("with", {})
    try:
        base = shipped.expand(chosen, given if isinstance(given, dict) else {})
    except ValueError as error:
        place = (*loc[:2], "with") if "with" in block else loc
        mistakes.append(Mistake(place, str(error)))
        return block
    needed.update({name: [] for name in _records(base)})
    return _laid(base, block)


def _laid(base: Block, own: Block) -> Block:
    merged = base | own
    for key in ("effects", "outputs"):
        if isinstance(own.get(key, {}), dict):
            merged[key] = base.get(key, {}) | own.get(key, {})
    rules = own.get("rules", [])
    if isinstance(rules, list):
        taken = {rule.get("id") for rule in rules if isinstance(rule, dict)}
        merged["rules"] = [*rules, *(rule for rule in base.get("rules", []) if rule["id"] not in taken)]
    return merged


def _sandbox(name: str, block: Any, mistakes: list[Mistake]) -> Any:
    chosen = block.get("profile") if isinstance(block, dict) else None
    if not isinstance(chosen, str):
        return block
    if chosen not in shipped.profiles():
        message = f"no profile {chosen!r}{near(chosen, shipped.profiles())}"
        mistakes.append(Mistake(("sandboxes", name, "profile"), message))
        return block
    return shipped.profile(chosen) | block


def _records(base: Block) -> Iterator[str]:
    """Name the records that a template speaks of: they are empty until the policy fills them."""
    for rule in base["rules"]:
        for sources in rule.get("flow", {}).get("control", {}).values():
            yield from (source for source in sources if source not in SOURCES)
