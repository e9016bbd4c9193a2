"""The options, the fixtures and the book of results of the escape suite."""

import functools
import json
import os
import shutil
from pathlib import Path

import pytest
from tests.core.escape.runner import profile_of, run_inside
from tests.core.escape.world import Receiver, Upstream, World

from blastwall import sandbox
from blastwall.egress import Gate
from blastwall.errors import SandboxUnavailable
from blastwall.sandbox.escape.attacks import BACKENDS, attacks
from blastwall.values import Destination, Profile, Strength

HERE = Path(__file__).parent
PROGRAMS = {"os": "bwrap", "container": "runsc", "vm": "qemu-system-x86_64"}
BOOK = pytest.StashKey[dict[tuple[int, str, str], tuple[str, str]]]()


def pytest_addoption(parser):
    group = parser.getgroup("escape")
    group.addoption("--all-backends", action="store_true", help="leave nothing out on any backend")
    group.addoption("--alone", action="store_true", help="run every attack in a sandbox of its own")
    group.addoption("--backends", default=",".join(BACKENDS), help="which backends, separated by commas")
    group.addoption("--escape-results", metavar="FILE", help="write what came of each attack, as JSON")


def pytest_configure(config):
    config.addinivalue_line("markers", "escape(item): the number of the attack that a test makes")
    config.addinivalue_line("markers", "quick: on a machine, it runs even without --all-backends")
    config.stash[BOOK] = {}


def pytest_collection_modifyitems(config, items):
    """Leave what needs a machine of its own to `--all-backends`, but for the few that are marked."""
    if config.getoption("--all-backends", default=False):
        return
    slow = [item for item in items if item.path.parent == HERE and _slow(item)]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


def _slow(item):
    params = item.callspec.params if hasattr(item, "callspec") else {}
    attack = params.get("attack")
    alone = item.get_closest_marker("quick") is None if attack is None else attack.single and not attack.quick
    return params.get("backend") == "vm" and alone


def save(config):
    """Write the book down, after every test: a run that is cut short leaves what it found."""
    file = config.getoption("--escape-results", default=None)
    if file:
        book = [[*key, *value] for key, value in sorted(config.stash[BOOK].items())]
        Path(file).write_text(json.dumps(book), "utf-8")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "teardown":
        save(item.config)
    marker = item.get_closest_marker("escape")
    if marker is None or call.when != "call" or report.skipped:
        return report
    each = marker.args[0]
    backend = getattr(item, "callspec", None) and item.callspec.params.get("backend")
    for name in [backend] if backend else BACKENDS:
        kind = ("stopped", "") if report.passed else ("FAILED", "see the tests")
        item.config.stash[BOOK].setdefault((each.item, each.name, name), kind)
    return report


@pytest.fixture
def record(request):
    """Write down what came of an attack on one backend."""

    def write(item, name, backend, kind, why=""):
        request.config.stash[BOOK][item, name, backend] = (kind, why)

    return write


@functools.cache
def unavailable(backend: str) -> str:
    """Say why a backend can't be had here; empty when it can."""
    try:
        done = sandbox.run(["true"], Profile("escape", strength=Strength(backend), timeout_s=120))
    except SandboxUnavailable as error:
        return str(error)
    return "" if done.returncode == 0 else f"`true` failed inside: {done.stderr!r}"


def need(backend, config):
    """Have a backend, or fail; skip only where it was not asked for, or neither installed nor on CI."""
    if backend not in config.getoption("--backends", default=",".join(BACKENDS)).split(","):
        pytest.skip(f"--backends leaves out {backend}")
    why = unavailable(backend)
    if why and shutil.which(PROGRAMS[backend]) is None and not os.environ.get("CI"):
        pytest.skip(why)
    assert not why


@pytest.fixture
def backend(request):
    """The name of one backend that is there. Parametrise it; alone it is `os`."""
    name = getattr(request, "param", "os")
    need(name, request.config)
    return name


@pytest.fixture(scope="session")
def receiver():
    """Listeners on loopback."""
    found = Receiver()
    yield found
    found.close()


@pytest.fixture(scope="session")
def upstream(receiver):
    """The one host that the gate allows."""
    found = Upstream()
    found.forbidden = receiver.port
    yield found
    found.close()


@pytest.fixture(scope="session")
def gate(upstream, receiver):
    """A gate to one host, to the subdomains of another, and to a name that leads to this very machine."""
    ports = (upstream.port,)
    allowed = [
        Destination(host, ports=ports, addresses=("127.0.0.1",)) for host in ("allowed.test", "*.wild.test")
    ]
    with Gate(
        [*allowed, Destination("localhost", ports=(receiver.port,))], [], lambda decision: None
    ) as made:
        yield made


@pytest.fixture
def world(receiver, upstream):
    """Fresh canaries."""
    with World(receiver, upstream) as made:
        yield made


@pytest.fixture(scope="session")
def together(receiver, upstream, gate):
    """What came of all attacks that can share one sandbox of a backend, run once when first asked for."""

    @functools.cache
    def run(backend, gated):
        shared = [
            a for a in attacks() if not a.single and a.gated == gated and a.expected(backend)[0] != "none"
        ]
        with World(receiver, upstream) as world:
            profile = profile_of(backend, world, {"timeout_s": 20.0 * len(shared)})
            return run_inside(profile, shared, world, gate if gated else None)

    return run
