"""Validated rules to compiled ones: checks made closures, demands on data and words made values."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import TypeVar

import re2

from blastwall.frozen import Json
from blastwall.policy import cel, constraints
from blastwall.policy.addresses import HostPattern
from blastwall.policy.constraints import ArgumentCheck
from blastwall.policy.flows import SOURCES, Bounded, Content, Control, Flow, Wanted
from blastwall.policy.messages import EFFECTS, MESSAGE
from blastwall.policy.model import Constraint, RuleBlock
from blastwall.policy.records import Records
from blastwall.policy.rules import Rule, covered
from blastwall.policy.scopes import ContentBlock, FieldBlock, FlowBlock, OutputBlock
from blastwall.policy.standing import Standing
from blastwall.policy.truth import Check
from blastwall.provenance import FORMATS, FieldRule, Labels
from blastwall.values import Charge, Confidentiality, Integrity, Label, Profile

Locate = Callable[[str], Path]
"""A path of the policy file, resolved."""


def compiled(
    connector: str,
    block: RuleBlock,
    profiles: Mapping[str, Profile],
    records: Mapping[str, Records],
    locate: Locate,
) -> Rule:
    """Compile one rule."""
    hints = block.when.annotations if block.when else None
    name = f"{connector}.{block.id}"
    return Rule(
        id=name,
        effect=Standing[block.effect.upper()],
        tools=tuple(block.tools or ()) or tuple(_messages(block.messages or ())),
        when=tuple(hints.model_dump(exclude_none=True).items()) if hints else (),
        condition=cel.compiled(block.when.cel) if block.when and block.when.cel else None,
        checks=tuple(_check(name, constraint, locate) for name, constraint in block.args.items()),
        flow=_flow(block.flow, records) if block.flow else None,
        profile=profiles[block.sandbox] if block.sandbox else None,
        otherwise=Standing[block.otherwise.upper()] if block.otherwise else Standing.ABSTAIN,
        budgets=tuple(_budgets(name, block)),
        instead=block.instead,
    )


def _messages(globs: Sequence[str]) -> Iterator[str]:
    """Name the messages that globs cover: a later version of the protocol brings no new ones in."""
    yield from (MESSAGE + known for known in EFFECTS if covered(known, tuple(globs)))


def _budgets(name: str, block: RuleBlock) -> Iterator[Charge]:
    ask = block.otherwise == "ask"
    if block.rate:
        yield Charge(f"{name} rate", block.rate.max, per_s=block.rate.per_s, ask=ask)
    if block.budget:
        yield Charge(f"{name} budget", block.budget.session, ask=ask)


def _flow(block: FlowBlock, records: Mapping[str, Records]) -> Flow:
    content = block.content.args if block.content else []
    paths = {name: tuple(name.split(".")) for name in (*block.control, *content)}
    named = tuple(path for name, path in paths.items() if name != "*")
    return Flow(
        controls=tuple(
            Control(
                paths[name],
                frozenset(source for source in sources if source in SOURCES),
                tuple(records[source] for source in sources if source not in SOURCES),
                named if name == "*" else (),
            )
            for name, sources in block.control.items()
        ),
        content=_content(block.content, records) if block.content else None,
        bounded=tuple(
            Bounded(tuple(name.split(".")), bound.max_sum, bound.per_s)
            for name, bound in block.bounded.items()
        ),
        wanted=Wanted(tuple(block.intent.verbs), tuple(block.intent.objects), block.intent.count)
        if block.intent
        else None,
    )


def _content(block: ContentBlock, records: Mapping[str, Records]) -> Content:
    limit = _confidentiality(block.max_confidentiality, Confidentiality.SECRET)
    return Content(limit, block.links, tuple(records.values()))


D = TypeVar("D")


def _confidentiality(said: str | None, default: D) -> Confidentiality | D:
    return default if said is None else Confidentiality[said.upper()]


def labels(block: OutputBlock, default: Label) -> Labels:
    """Compile the labels of one entry of `outputs`."""
    integrity = Integrity[block.integrity.upper()] if block.integrity else default.integrity
    own = Label(integrity, _confidentiality(block.confidentiality, default.confidentiality))
    return Labels(own, tuple(_field(path, field) for path, field in block.fields.items()))


def _field(path: str, block: FieldBlock) -> FieldRule:
    typed = FORMATS[block.format] if block.format else _matching(block.pattern) if block.pattern else None
    integrity = Integrity[block.integrity.upper()] if block.integrity else Integrity.TYPED if typed else None
    return FieldRule(path, integrity, _confidentiality(block.confidentiality, None), typed)


def _matching(pattern: str) -> Callable[[Json], bool]:
    compiled = re2.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def _check(name: str, block: Constraint, locate: Locate) -> ArgumentCheck:
    checks = dict(_checks(block, locate))
    whole: dict[str, Check] = {}
    if block.max_items is not None:
        whole[f"have at most {block.max_items} members"] = constraints.no_more(block.max_items)
    return ArgumentCheck(
        path=tuple(name.split(".")),
        checks=tuple(checks.values()),
        whole=tuple(whole.values()),
        expectation=" and ".join([*checks, *whole]),
        optional=block.optional,
        is_path=block.under is not None,
    )


def _checks(block: Constraint, locate: Locate) -> Iterator[tuple[str, Check]]:
    if block.enum is not None:
        yield f"be one of {', '.join(map(json.dumps, block.enum))}", constraints.one_of(block.enum)
    if block.pattern is not None:
        yield f"match {block.pattern}", constraints.matching(block.pattern)
    if block.minimum is not None or block.maximum is not None:
        low = "" if block.minimum is None else f" from {block.minimum:.15g}"
        high = "" if block.maximum is None else f" up to {block.maximum:.15g}"
        yield f"be a number{low}{high}", constraints.between(block.minimum, block.maximum)
    if block.max_length is not None:
        yield f"be text of at most {block.max_length} characters", constraints.no_longer(block.max_length)
    yield from _destinations(block, locate)


def _destinations(block: Constraint, locate: Locate) -> Iterator[tuple[str, Check]]:
    if block.under is not None:
        roots = [PurePath(locate(path)) for path in block.under]
        yield f"lead to somewhere under {' or '.join(map(str, roots))}", constraints.under(roots)
    if block.hosts is not None:
        patterns = [HostPattern.parse(text) for text in block.hosts]
        yield f"be a URL of {' or '.join(block.hosts)}", constraints.to_hosts(patterns)
    if block.recipients is not None:
        listed = block.recipients
        yield f"go to {' or '.join(listed)} only", constraints.to_recipients(listed)
