"""What the conformance suite finds in a server, it finds through the proxy as well."""

import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.conformance import serving, suite
from tests.conformance.node import Node, needed


@pytest.fixture(scope="module")
def node() -> Node:
    return needed()


@pytest.fixture(scope="module")
def direct(node: Node, tmp_path_factory: pytest.TempPathFactory) -> dict[str, suite.Found]:
    with serving.everything() as url:
        return _found(node, url, tmp_path_factory.mktemp("direct"))


@pytest.fixture(scope="module", params=["auto", "legacy"])
def front(request, node: Node, tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[str, str]]:
    """The proxy, and the era that it speaks with the server."""
    with serving.everything_proxied(tmp_path_factory.mktemp("front"), era=request.param) as url:
        suite.warm(node, url, tmp_path_factory.mktemp("warm") / "found")
        yield request.param, url


def _found(node: Node, url: str, folder: Path) -> dict[str, suite.Found]:
    return {which: suite.run(node, url, which, folder / which) for which in suite.REQUIREMENTS}


@pytest.mark.parametrize("which", suite.REQUIREMENTS)
def test_the_server_itself_meets_every_requirement(direct, which):
    assert direct[which].content
    failed = {c.scenario for c, s in direct[which].status.items() if s not in suite.GOOD}
    assert failed <= {name for name in direct[which].unscored if name.startswith("tasks-")}


@pytest.mark.parametrize("which", suite.REQUIREMENTS)
def test_the_proxy_loses_nothing_of_it(node, direct, front, which, tmp_path):
    era, url = front
    through = suite.run(node, url, which, tmp_path / which)
    accepted = suite.UNKEPT | (suite.UNSAID if era == "legacy" else set())
    if lost := suite.lost(direct[which], through, accepted):
        pytest.fail("\n".join([suite.table(direct[which], through, which), *lost]), pytrace=False)
    assert through.content or era == "legacy"


CLIENT_SCENARIOS = {
    "2026-07-28": (
        "tools_call",
        "request-metadata",
        "sep-2322-client-request-state",
        "http-standard-headers",
        "http-custom-headers",
        "http-invalid-tool-headers",
        "json-schema-ref-no-deref",
        "json-schema-2020-12-preservation",
    ),
    "2025-11-25": ("initialize", "tools_call", "elicitation-sep1034-client-defaults", "sse-retry"),
}
"""What the suite asks of clients, but for their authorization, which takes a browser."""


@pytest.mark.parametrize(
    ("version", "scenario"),
    [(version, name) for version, names in CLIENT_SCENARIOS.items() for name in names],
)
def test_the_back_of_the_proxy_is_a_client_that_conforms(node, version, scenario, tmp_path):
    visitor = [sys.executable, str(Path(__file__).with_name("visitor.py")), "--through", str(tmp_path)]
    found = suite.run_client(node, visitor, version, scenario, tmp_path / "found")
    assert not {check: found.why[check] for check, status in found.status.items() if status not in suite.GOOD}
    assert found.content
