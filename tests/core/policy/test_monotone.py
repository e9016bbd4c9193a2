"""What can only take away: a deny rule, a further layer, a lower label. On policies and calls made at random."""

import copy
from random import Random

import pytest
from tests.core.policy.differential import call_of, compiled, context_of, verdict_of
from tests.core.policy.generated import cases, rule
from tests.core.policy.reference import CONFIDENTIALITY, INTEGRITY

from blastwall.policy import Layered
from blastwall.values import Allow, Ask, Charge, Classify, Deny, Sandbox

POLICIES = 300


def strictness(verdict):
    """0: it runs; 1: somebody is asked; 2: it is denied."""
    return 2 if isinstance(verdict, Deny) else isinstance(verdict, Ask | Classify)


def run_of(verdict):
    return verdict.then if isinstance(verdict, Ask | Classify) else verdict


def some_cases(seed):
    for i, (layers, calls) in enumerate(cases(seed, 25)):
        if i == POLICIES:
            return
        yield layers, calls


def changes(seed, altered):
    """Give pairs of verdicts, before and after `altered(layers, asked, rng)` has made other ones of them."""
    rng = Random(seed)
    for layers, calls in some_cases(seed):
        before = compiled(layers)
        after_layers, after_call = altered(layers, rng)
        after = compiled(after_layers) if after_layers is not layers else before
        for asked in calls:
            old, new = (
                verdict_of(before, asked, twice=False),
                verdict_of(after, after_call(asked), twice=False),
            )
            yield old, new, (layers, after_layers, asked)


def stays(asked):
    return asked


def with_a_deny_rule(layers, rng):
    changed = copy.deepcopy(layers)
    layer = rng.choice(changed)
    connector = layer["connectors"][rng.choice(sorted(layer["connectors"]))]
    deny = {"id": "added"} | rule(rng, connector["trust_annotations"]) | {"effect": "deny"}
    for key in ("flow", "sandbox", "rate", "budget", "otherwise"):
        deny.pop(key, None)
    connector["rules"].insert(rng.randint(0, len(connector["rules"])), deny)
    return changed, stays


def lower(origin, rng):
    """Give an origin with less integrity, more confidentiality, or both; or the same."""
    integrity = INTEGRITY[rng.randint(0, INTEGRITY.index(origin["integrity"]))]
    secrecy = CONFIDENTIALITY[rng.randint(CONFIDENTIALITY.index(origin["confidentiality"]), 2)]
    return origin | {
        "integrity": integrity,
        "confidentiality": secrecy,
        "bound": origin["bound"] and rng.random() < 0.5,
    }


def with_lower_labels(layers, rng):
    return layers, lambda asked: lowered(asked, rng)


def lowered(asked, rng):
    seen = copy.deepcopy(asked.seen)
    for leaf in seen["traced"]:
        leaf["whole"] = [lower(origin, rng) for origin in leaf["whole"]]
        leaf["parts"] = [lower(origin, rng) for origin in leaf["parts"]]
        for link in leaf["links"]:
            link["origins"] = [lower(origin, rng) for origin in link["origins"]]
    session = lower(
        {"integrity": seen["integrity"], "confidentiality": seen["confidentiality"], "bound": False}, rng
    )
    seen |= {key: session[key] for key in ("integrity", "confidentiality")}
    seen["forgotten"] = seen["forgotten"] or rng.random() < 0.3
    return type(asked)(**{**asked.__dict__, "seen": seen})


@pytest.mark.parametrize("altered", [with_a_deny_rule, with_lower_labels])
def test_it_never_loosens(altered):
    tightened = total = 0
    for old, new, case in changes(altered.__name__, altered):
        assert strictness(new) >= strictness(old), (old, new, case)
        tightened += strictness(new) > strictness(old)
        total += strictness(old) < 2
    assert tightened > total // 50, "the control: this property would hold of changes that change nothing"


def test_a_further_layer_never_loosens_and_takes_nothing_of_the_first_one_s_away():
    tightened = 0
    for layers, calls in some_cases("layers"):
        if len(layers) < 2:
            continue
        first = compiled(layers[:1])
        both = compiled(layers[:2])
        assert isinstance(both, Layered)
        for asked in calls:
            old, new = verdict_of(first, asked, twice=False), verdict_of(both, asked, twice=False)
            assert strictness(new) >= strictness(old), (old, new, layers, asked)
            tightened += strictness(new) > strictness(old)
            if not isinstance(new, Deny):
                keeps(run_of(old), run_of(new))
    assert tightened > 200


def keeps(old, new):
    """Demand that what runs does so in the same sandbox, and pays what it paid before."""
    assert isinstance(old, Allow | Sandbox)
    assert isinstance(new, Allow | Sandbox)
    assert set(old.charges) <= set(new.charges)
    if isinstance(old, Sandbox):
        assert isinstance(new, Sandbox)
        assert new.profile == old.profile


def test_a_layer_that_names_another_connector_changes_nothing():
    for layers, calls in some_cases("another connector"):
        other = layers[-1] | {"connectors": {"elsewhere": {"rules": []}}}
        alone, both = compiled(layers[:1]), compiled([layers[0], other])
        for asked in calls:
            assert verdict_of(alone, asked, twice=False) == verdict_of(both, asked, twice=False)


def test_a_call_beyond_a_charge_never_runs_unasked():
    seen = set()
    for layers, calls in some_cases("over"):
        loaded = compiled(layers)
        for asked in calls:
            run = run_of(verdict_of(loaded, asked, twice=False))
            for charge in () if isinstance(run, Deny) else run.charges:
                over = loaded.over(call_of(asked), run, charge)
                seen.add(type(over))
                assert isinstance(over, Ask | Classify if charge.ask else Deny)
                if charge.ask:
                    assert charge not in over.then.charges
                    assert set(over.then.charges) | {charge} == set(run.charges)
    assert seen == {Ask, Classify, Deny}


def test_a_charge_is_never_negative_and_always_has_a_limit():
    for layers, calls in some_cases("charges"):
        loaded = compiled(layers)
        for asked in calls:
            verdict = verdict_of(loaded, asked, twice=False)
            if isinstance(verdict, Deny):
                continue
            for charge in (*run_of(verdict).charges, *getattr(verdict, "charges", ())):
                assert isinstance(charge, Charge)
                assert charge.amount >= 0
                assert charge.limit >= 0


def test_what_recalls_says_is_right():
    """A verdict for which nothing is recalled is the same whatever the session has seen."""
    free = 0
    for layers, calls in some_cases("recalls"):
        loaded = compiled(layers)
        for asked in calls:
            call = call_of(asked)
            if loaded.recalls(call):
                continue
            free += 1
            resolved = {path: asked.leads.get(path) for path in loaded.paths(call)}
            assert loaded.decide(call, resolved, context_of(asked.seen)) == loaded.decide(call, resolved)
    assert free > 500
