"""Small mistakes that mutation testing showed to be possible without any other test noticing."""

from blastwall.policy.doing import tightened
from blastwall.policy.records import Records
from blastwall.policy.standing import Standing
from blastwall.policy.together import Together
from blastwall.provenance import NOTHING
from blastwall.values import LOOKS, Annotations, Charge, Does, ToolCall


def test_what_is_no_scalar_is_in_no_records_even_if_its_text_is():
    listed = Records.of("odd", ["True", "7", "None"])
    assert listed.covers("True") is True
    assert listed.covers(7) is True
    for value in (True, None, (), {"a": 1}):
        assert listed.covers(value) is False


def test_a_domain_among_records_covers_addresses_and_is_no_value_itself():
    listed = Records.of("people", ["@corp.example", "ann@evil.test"])
    assert listed.covers("bob@corp.example") is True
    assert listed.covers("@corp.example") is False
    assert listed.covers("ann@evil.test") is True
    assert listed.covers("bob@evil.test") is False


def test_a_tool_that_reads_the_network_and_is_said_to_be_of_the_open_world_still_only_reads():
    said = Annotations(open_world=True, stated=frozenset({"openWorldHint"}))
    both = frozenset({Does.READ, Does.NETWORK_READ})
    assert tightened(both, said) == both
    assert tightened({Does.READ}, said) == both
    assert tightened({Does.WRITE}, said) == {Does.WRITE, Does.NETWORK_SEND}


def test_looking_at_the_network_and_here_is_no_effect_that_the_user_must_ask_for():
    """The very set LOOKS, not only less than it."""
    call = ToolCall.of("web", "fetch", {})
    session = Together(intent=Standing.DENY, calls=3, writes=2, destructive=1)
    assert list(session.unmet(call, LOOKS, NOTHING, wanted=False)) == []
    assert list(session.charges(call, LOOKS, NOTHING)) == [Charge("session calls", 3)]
