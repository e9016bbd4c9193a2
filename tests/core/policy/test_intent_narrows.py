"""`session.intent`: what the user's words take away, and that they never add anything. With the real reader of words."""

import copy
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import yaml
from tests.core.policies import assembled
from tests.core.policy.differential import call_of, compiled, context_of
from tests.core.policy.generated import cases

from blastwall.policy import Layered
from blastwall.provenance import Context, Intent
from blastwall.values import Allow, Ask, Charge, Classify, Deny, Reason, Sandbox, ToolCall

POLICIES = 300
CORPUS = Path(__file__).parents[1] / "provenance" / "intent_development.yaml"


def prompts():
    rows = [row for tool in yaml.safe_load(CORPUS.read_text()).values() for row in tool]
    return [tuple(text) if isinstance(text, list) else (text,) for _, text in rows] + [()]


PROMPTS = prompts()


def strictness(verdict):
    return 2 if isinstance(verdict, Deny) else isinstance(verdict, Ask | Classify)


def run_of(verdict):
    return verdict.then if isinstance(verdict, Ask | Classify) else verdict


def with_intent(layers, setting, rng):
    changed = copy.deepcopy(layers)
    for layer in changed:
        layer["session"].pop("intent", None)
    without = copy.deepcopy(changed)
    rng.choice(changed)["session"]["intent"] = setting
    return without, changed


def decided(loaded, asked, intent):
    call = call_of(asked)
    resolved = {path: asked.leads.get(path) for path in loaded.paths(call)}
    return loaded.decide(call, resolved, replace(context_of(asked.seen), intent=intent))


def some_cases(seed):
    """Give the same policy without and with a demand on the user's words, calls, and a source of chance."""
    rng = Random(seed)
    for i, (layers, calls) in enumerate(cases(seed, 20)):
        if i == POLICIES:
            return
        without, changed = map(compiled, with_intent(layers, rng.choice(("ask", "deny")), rng))
        for asked in calls:
            yield without, changed, asked, rng


def test_the_users_words_only_narrow():
    tightened = charged = 0
    for without, changed, asked, rng in some_cases("intent narrows"):
        intent = Intent(rng.choice(PROMPTS))
        old, new = decided(without, asked, intent), decided(changed, asked, intent)
        assert strictness(new) >= strictness(old), (asked, intent)
        tightened += strictness(new) > strictness(old)
        if isinstance(new, Deny):
            continue
        before, after = run_of(old), run_of(new)
        assert set(before.charges) <= set(after.charges)
        assert not isinstance(before, Sandbox) or after.profile == before.profile
        charged += set(before.charges) < set(after.charges)
    assert tightened > 500
    assert charged > 10


def test_further_words_only_widen_within_what_the_rules_permit():
    """A turn more never makes a call stricter, and never looser than without any demand on the words."""
    loosened = 0
    for without, changed, asked, rng in some_cases("further words"):
        said = rng.choice(PROMPTS)
        more = said + rng.choice(PROMPTS)
        old, new = decided(changed, asked, Intent(said)), decided(changed, asked, Intent(more))
        free = decided(without, asked, Intent(more))
        assert strictness(free) <= strictness(new) <= strictness(old), (asked, said, more)
        loosened += strictness(new) < strictness(old)
    assert loosened > 20


# --- By example ---


def mail(setting="ask", **session):
    return assembled(
        {
            "version": 1,
            "session": {"intent": setting} | session,
            "connectors": {
                "mail": {
                    "effects": {"search_*": ["read"], "delete_*": ["delete"], "send_*": ["network-send"]},
                    "rules": [{"id": "all", "effect": "allow", "tools": ["*"]}],
                }
            },
        }
    )


def verdict(loaded, tool, *texts):
    return loaded.decide(ToolCall.of("mail", tool, {}), {}, Context(intent=Intent(texts)))


@pytest.mark.parametrize(
    ("tool", "texts", "runs"),
    [
        ("search_emails", (), True),
        ("search_emails", ("Delete my mails.",), True),
        ("send_email", ("Reply to Bob.",), True),
        ("send_email", ("Let Bob know.",), True),
        ("send_email", ("Summarise the mail from Bob.",), False),
        ("send_email", ("Don't reply to Bob.",), False),
        ("send_email", (), False),
        ("delete_email", ("Get rid of the first mail.",), True),
        ("delete_email", ("Send Bob the mail.",), False),
        ("frobnicate", ("Frobnicate it.",), True),
        ("frobnicate", ("Search my mail.",), False),
    ],
)
@pytest.mark.parametrize("setting", ["ask", "deny"])
def test_an_effect_needs_its_verb_in_the_users_words(tool, texts, runs, setting):
    said = verdict(mail(setting), tool, *texts)
    if runs:
        assert isinstance(said, Allow)
    elif setting == "ask":
        assert isinstance(said, Ask)
    else:
        assert isinstance(said, Deny)
        assert said.denied.reason is Reason.INTENT


@pytest.mark.parametrize(
    ("texts", "limit"),
    [
        (("Delete the largest mail.",), 1),
        (("Delete the two newest mails.",), 2),
        (("Delete the first mail.", "Delete the second mail."), 2),
        (("Delete all mails.",), None),
    ],
)
def test_what_is_destroyed_is_bounded_by_the_words(texts, limit):
    said = verdict(mail(), "delete_email", *texts)
    assert isinstance(said, Allow)
    bounds = [charge.limit for charge in said.charges if isinstance(charge, Charge)]
    assert bounds == ([] if limit is None else [limit])


def test_layers_and_words_together():
    strict = mail("deny")
    both = Layered(mail("ask"), (replace(strict, file="task.yaml"),))
    assert isinstance(both.decide(ToolCall.of("mail", "send_email", {}), {}, Context()), Deny)
