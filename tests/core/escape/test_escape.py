"""Ways out, one by one: each works without the wall, and none works inside."""

import pytest
from tests.core.escape.conftest import need
from tests.core.escape.runner import control, profile_of, run_inside

from blastwall.sandbox.escape.attacks import BACKENDS, attacks
from blastwall.sandbox.escape.attempt import expected
from blastwall.sandbox.escape.verdicts import judged

EACH = [
    pytest.param(attack, backend, id=f"{backend}-{attack.key}")
    for backend in BACKENDS
    for attack in attacks()
    if attack.expected(backend)[0] != "none"
]


@pytest.mark.parametrize(("attack", "backend"), EACH)
def test_no_way_out(attack, backend, request, record):
    need(backend, request.config)
    if backend == "os" or attack.single or request.config.getoption("--alone", default=False):
        world = request.getfixturevalue("world")
        gate = request.getfixturevalue("gate") if attack.gated else None
        answer = run_inside(profile_of(backend, world, attack.profile), [attack], world, gate)[attack.key]
    else:
        answer = request.getfixturevalue("together")(backend, attack.gated)[attack.key]
    kind, why = expected(attack, backend)
    verdict(answer, kind, attack.expected(backend)[0])
    record(attack.item, attack.name, backend, kind, why or answer.why)


def verdict(answer, kind, promised):
    """Compare with what is to come of it here, and with what is promised where a machine has all that it takes."""
    found = judged(answer, kind)
    # What it reaches may be the sandbox's own; that it got no further is for the host to see.
    assert found in (kind, promised) or (kind, found) == ("own", "stopped"), answer
    assert answer.changed == () or kind == "open", answer


@pytest.mark.parametrize("attack", attacks(), ids=lambda attack: attack.key)
def test_without_the_wall_it_works(attack, world):
    answer = control(attack, world)
    if answer is None:
        pytest.skip("only root can show it")
    assert answer.kind == ("WORKS" if attack.expected("os")[0] == "works" else "ESCAPED"), answer
