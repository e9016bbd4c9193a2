"""Ways out, one by one: each works without the wall, and none works inside."""

import pytest
from tests.core.escape.attacks import BACKENDS, attacks
from tests.core.escape.conftest import need
from tests.core.escape.runner import control, profile_of, run_inside

EACH = [
    pytest.param(attack, backend, id=f"{backend}-{attack.key}")
    for backend in BACKENDS
    for attack in attacks()
    if attack.expected(backend)[0] != "none"
]
MEANS = {"ESCAPED": "open", "HELD": "stopped", "WORKS": "works"}


@pytest.mark.parametrize(("attack", "backend"), EACH)
def test_no_way_out(attack, backend, request, record):
    need(backend, request.config)
    if backend == "os" or attack.single or request.config.getoption("--alone", default=False):
        world = request.getfixturevalue("world")
        gate = request.getfixturevalue("gate") if attack.gated else None
        answer = run_inside(profile_of(backend, world, attack.profile), [attack], world, gate)[attack.key]
    else:
        answer = request.getfixturevalue("together")(backend, attack.gated)[attack.key]
    expected, why = attack.expected(backend)
    verdict(answer, expected)
    record(attack.item, attack.name, backend, expected, why or answer.why)


def verdict(answer, expected):
    if expected == "own":
        # What it reaches is the sandbox's own; that it got no further is for the host to see.
        assert answer.kind in ("ESCAPED", "HELD"), answer
        assert answer.changed == ()
    else:
        assert MEANS.get(answer.kind) == expected, answer


@pytest.mark.parametrize("attack", attacks(), ids=lambda attack: attack.key)
def test_without_the_wall_it_works(attack, world):
    answer = control(attack, world)
    if answer is None:
        pytest.skip("only root can show it")
    assert answer.kind == ("WORKS" if attack.expected("os")[0] == "works" else "ESCAPED"), answer
