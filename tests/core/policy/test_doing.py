import pytest

from blastwall.policy.doing import WORST, effects
from blastwall.values import LOOKS, WORST_CASE, Annotations, Does

READ = frozenset({Does.READ})


def hints(*stated, **values):
    return Annotations(**values, stated=frozenset(stated))


def test_a_tool_that_nobody_describes_does_the_worst():
    assert effects(None, WORST_CASE, trusted=False) == WORST == frozenset(Does)
    assert effects(None, hints(read_only=True), trusted=False) == WORST
    assert effects(None, WORST_CASE, trusted=True) == WORST


@pytest.mark.parametrize(
    ("said", "does"),
    [
        ({"read_only": True, "open_world": False}, READ),
        ({"read_only": True, "open_world": True}, LOOKS),
        ({"destructive": False, "open_world": False}, {Does.READ, Does.WRITE}),
        ({"destructive": True, "open_world": False}, {Does.READ, Does.WRITE, Does.DELETE}),
        ({"destructive": False, "open_world": True}, {Does.READ, Does.WRITE, Does.NETWORK_SEND}),
    ],
)
def test_a_trusted_server_describes_its_own_tools(said, does):
    assert effects(None, Annotations(**said), trusted=True) == does


@pytest.mark.parametrize(
    ("stated", "more"),
    [
        (hints(), set()),
        (hints("readOnlyHint"), {Does.WRITE}),
        (hints("readOnlyHint", read_only=True), set()),
        (hints("destructiveHint"), {Does.DELETE}),
        (hints("destructiveHint", destructive=False), set()),
        (hints("destructiveHint", read_only=True), set()),
        (hints("openWorldHint"), {Does.NETWORK_READ}),
        (hints("openWorldHint", open_world=False), set()),
        (hints("openWorldHint", "readOnlyHint"), {Does.WRITE, Does.NETWORK_SEND}),
    ],
)
@pytest.mark.parametrize("trusted", [True, False])
def test_what_a_server_states_is_added_to_what_the_policy_says(stated, more, trusted):
    assert effects(READ, stated, trusted=trusted) == READ | more
