import pytest

from blastwall.policy.doing import WORST
from blastwall.policy.standing import Standing
from blastwall.policy.together import Together
from blastwall.provenance import Context, Intent
from blastwall.values import Charge, Confidentiality, Does, Integrity, Reason, ToolCall

CALL = ToolCall.of("mail", "delete_email", {})
READ, SEND, DELETE = (frozenset({does}) for does in (Does.READ, Does.NETWORK_SEND, Does.DELETE))


def against(together, does, context=Context(), *, wanted=False):  # noqa: B008
    return [(level, reason) for level, reason, _ in together.unmet(CALL, does, context, wanted=wanted)]


SEEN = Context(integrity=Integrity.EXTERNAL, confidentiality=Confidentiality.PRIVATE)


@pytest.mark.parametrize(
    ("seen", "does", "objects"),
    [
        (SEEN, SEND, True),
        (SEEN, WORST, True),
        (SEEN, frozenset({Does.NETWORK_READ}), True),
        (SEEN, READ, False),
        (Context(integrity=Integrity.INTERNAL, confidentiality=Confidentiality.SECRET), SEND, False),
        (Context(integrity=Integrity.EXTERNAL, confidentiality=Confidentiality.PUBLIC), SEND, False),
        (Context(), SEND, False),
    ],
)
def test_the_rule_of_two(seen, does, objects):
    expected = [(Standing.ASK, Reason.FLOW)] if objects else []
    assert against(Together(rule_of_two=Standing.ASK), does, seen) == expected
    assert against(Together(), does, seen) == []


class Said(Intent):
    def asked(self, verbs, objects=()):
        return {"": 0, "delete": 2}[self.texts[0]] if "delete" in verbs else 0


@pytest.mark.parametrize(
    ("words", "does", "wanted", "objects"),
    [
        ("", DELETE, False, True),
        ("", DELETE, True, False),
        ("", READ, False, False),
        ("", frozenset({Does.NETWORK_READ}), False, False),
        ("delete", DELETE, False, False),
    ],
)
def test_what_the_user_s_words_do_not_ask_for(words, does, wanted, objects):
    context = Context(intent=Said((words,)))
    expected = [(Standing.DENY, Reason.INTENT)] if objects else []
    assert against(Together(intent=Standing.DENY), does, context, wanted=wanted) == expected


def test_it_traces_only_when_it_must():
    assert Together(rule_of_two=Standing.ASK).traces
    assert Together(intent=Standing.DENY).traces
    assert not Together(calls=1, asks=1).traces


def test_what_a_call_uses_up():
    whole = Together(calls=9, writes=8, destructive=7)
    assert list(whole.charges(CALL, READ, Context())) == [Charge("session calls", 9)]
    assert list(whole.charges(CALL, SEND, Context())) == [
        Charge("session calls", 9),
        Charge("session writes", 8),
    ]
    assert list(whole.charges(CALL, DELETE, Context()))[-1] == Charge("session destructive", 7)
    assert list(Together().charges(CALL, DELETE, Context())) == []
    assert Together(asks=3).asking() == (Charge("session asks", 3),)
    assert Together().asking() == ()


@pytest.mark.parametrize("standing", [Standing.ASK, Standing.DENY])
def test_destruction_is_as_often_as_the_user_said(standing):
    together = Together(intent=standing)
    context = Context(intent=Said(("delete",)))
    [charge] = together.charges(CALL, DELETE, context)
    assert charge == Charge("mail.delete_email asked for", 2, ask=standing is Standing.ASK)
    assert list(together.charges(CALL, SEND, context)) == []
