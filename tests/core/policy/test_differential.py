"""The compiled decider says what the plain one says, on policies and calls made at random."""

import dataclasses

import pytest
from tests.core.policy import differential
from tests.core.policy.differential import compare
from tests.core.policy.generated import cases

from blastwall.policy import Layered, Policy, assemble_rules, constraints, flows, plan, rules
from blastwall.policy.connector import Connector
from blastwall.policy.records import Records
from blastwall.policy.standing import Standing
from blastwall.policy.together import Together
from blastwall.policy.truth import Truth
from blastwall.values import Confidentiality, Integrity

FLOORS = {
    "allow": 12_000,
    "allow in a sandbox": 2_000,
    "ask": 15_000,
    "ask in a sandbox": 2_500,
    "classify": 4_000,
    "classify in a sandbox": 500,
    "deny: ambiguous": 100,
    "deny: changed": 5_000,
    "deny: constraint": 20_000,
    "deny: flow": 3_000,
    "deny: intent": 3_000,
    "deny: no-rule": 20_000,
    "deny: rule": 15_000,
    "deny: unknown-connector": 5_000,
    "overlooked": 4_000,
    "pays asked for": 1_500,
    "pays budget": 3_000,
    "pays calls": 3_000,
    "pays destructive": 3_000,
    "pays of layer1": 1_000,
    "pays rate": 3_000,
    "pays sum": 400,
    "pays writes": 3_000,
}
"""What 200,000 pairs must reach, at the least: a comparison of denials alone would show nothing."""


def test_the_two_deciders_agree_on_200_000_pairs():
    tally = compare("make test", 200_000)
    assert tally.disagreements == []
    assert tally.pairs >= 200_000
    assert {what: tally.seen[what] for what, least in FLOORS.items() if tally.seen[what] < least} == {}


def test_the_two_deciders_agree_on_3_000_pairs():
    """The same, quickly: what mutation testing runs for every mutant."""
    assert compare("a few", 3_000, most=1).disagreements == []


def test_the_same_seed_makes_the_same_cases():
    assert next(cases("a seed", 5)) == next(cases("a seed", 5)) != next(cases("another", 5))


def test_the_command_gives_0_where_they_agree(capsys):
    assert differential.main(["--pairs", "400", "--processes", "1"]) == 0
    assert "400 pairs" in capsys.readouterr().out


# --- the control: each of these mistakes in the compiled decider is found ------------------------------------


def flipped_bound(patch):
    patch.setattr(
        constraints,
        "between",
        lambda low, high: (
            lambda value, _: (
                Truth.UNKNOWN
                if type(value) not in (int, float)
                else Truth(2 * ((low is None or value > low) and (high is None or value <= high)))
            )
        ),
    )


def folder_by_its_letters(patch):
    patch.setattr(
        constraints,
        "under",
        lambda roots: (
            lambda value, leads: (
                Truth(2 * leads[value].startswith(tuple(map(str, roots))))
                if isinstance(value, str) and leads.get(value)
                else Truth.UNKNOWN
            )
        ),
    )


def deny_only_for_certain(patch):
    patch.setattr(
        rules.Rule,
        "stand",
        lambda rule, *call: (
            (Standing.ABSTAIN, rule.effect if rule.effect is Standing.DENY else rule.otherwise)[0]
            if rule.holds(*call) is not Truth.YES
            else rule.effect
        ),
    )


def every_member_for_a_deny(patch):
    holds = constraints.ArgumentCheck.holds
    patch.setattr(
        constraints.ArgumentCheck,
        "holds",
        lambda check, arguments, resolved, any_member: holds(check, arguments, resolved, any_member=False),
    )


def unclear_asks_are_asked(patch):
    stands = plan._stands
    patch.setattr(plan, "_stands", lambda rule: (stands(rule)[0], stands(rule)[0], stands(rule)[2]))


def public_taken_for_nothing(patch):
    def content(block, records):
        limit = Confidentiality[(block.max_confidentiality or "secret").upper()] or Confidentiality.SECRET
        return flows.Content(limit, block.links, tuple(records.values()))

    patch.setattr(assemble_rules, "_content", content)


def a_fact_of_nobody_steers(patch):
    steered = flows.Control._steered
    patch.setattr(flows.Control, "_steered", lambda self, leaf: not leaf.whole or steered(self, leaf))


def typed_is_enough_for_bound(patch):
    trusted = flows.Control._trusted
    patch.setattr(
        flows.Control,
        "_trusted",
        lambda self, origin, beside: trusted(self, dataclasses.replace(origin, bound=True), beside),
    )


def outside_mentions_are_missed(patch):
    patch.setattr(flows, "_mention", lambda origin: False)


def domains_cover_subdomains(patch):
    patch.setattr(Records, "_listed", lambda self, a: a in self.values or a.endswith("corp.example"))


def forgotten_is_public(patch):
    real = flows.confidentiality
    patch.setattr(
        flows,
        "confidentiality",
        lambda leaf, context: real(leaf, dataclasses.replace(context, forgotten=False)),
    )


def the_rule_of_two_of_internal_data(patch):
    unmet = Together.unmet
    patch.setattr(
        Together,
        "unmet",
        lambda self, call, does, context, wanted: unmet(
            self,
            call,
            does,
            dataclasses.replace(context, integrity=max(context.integrity, Integrity.INTERNAL)),
            wanted=wanted,
        ),
    )


def hints_of_a_server_are_ignored(patch):
    does = Connector.does
    patch.setattr(
        Connector,
        "does",
        lambda self, tool, hints: does(self, tool, dataclasses.replace(hints, stated=frozenset())),
    )


def nothing_is_recalled(patch):
    patch.setattr(Policy, "recalls", lambda policy, call: False)


def a_pin_is_any_pin(patch):
    patch.setattr(Connector, "pinned", lambda self, tool, fingerprint: bool(fingerprint))


def charges_are_forgotten(patch):
    patch.setattr(rules.Rule, "charges", lambda rule, call, context: rule.budgets)


def the_last_layer_is_forgotten(patch):
    patch.setattr(Layered, "_over", lambda layered, connector: (layered.primary,))


def a_plan_is_made_once_for_all_tools(patch):
    made = {}
    real = plan.Plan.of.__func__
    patch.setattr(
        plan.Plan,
        "of",
        classmethod(lambda cls, found, steps: made.setdefault(id(steps), real(cls, found, steps))),
    )


MUTANTS = (
    flipped_bound,
    folder_by_its_letters,
    deny_only_for_certain,
    every_member_for_a_deny,
    unclear_asks_are_asked,
    public_taken_for_nothing,
    a_fact_of_nobody_steers,
    typed_is_enough_for_bound,
    outside_mentions_are_missed,
    domains_cover_subdomains,
    forgotten_is_public,
    the_rule_of_two_of_internal_data,
    hints_of_a_server_are_ignored,
    nothing_is_recalled,
    a_pin_is_any_pin,
    charges_are_forgotten,
    the_last_layer_is_forgotten,
    a_plan_is_made_once_for_all_tools,
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_mistake_in_the_compiled_decider_is_found(monkeypatch, mutant):
    mutant(monkeypatch)
    try:
        found = compare("a mistake", 60_000, most=1).disagreements
    except AssertionError as error:
        found = [str(error)]  # the same call got another verdict the second time
    assert found


def test_without_a_mistake_nothing_is_found():
    """The control of the control."""
    assert compare("a mistake", 4_000).disagreements == []
