"""AgentDojo as scenes. These run wherever the extra `agentdojo` is installed."""

from collections import Counter
from importlib.metadata import version
from importlib.util import find_spec

import pytest

from blastwall.errors import BackendError
from blastwall.evaluate import agentdojo, report, run
from blastwall.evaluate.adaptive import TACTICS
from blastwall.evaluate.agentdojo import attacks
from blastwall.evaluate.guards import Way
from blastwall.evaluate.score import total

pytestmark = [
    pytest.mark.skipif(find_spec("agentdojo") is None, reason="the extra `agentdojo` is not installed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the model vendors' packages
]


def scores(suite, way, attack="", limit=None, tactic=""):
    return run.perform(run.Job(suite, way, attack, tactic, limit))


def test_it_is_the_pinned_one():
    assert version("agentdojo") == agentdojo.PACKAGE
    sizes = {name: (len(suite.tasks), len(suite.goals)) for name, suite in agentdojo.suites().items()}
    assert sum(tasks for tasks, _ in sizes.values()) == 97
    assert sum(tasks * goals for tasks, goals in sizes.values()) == 949


def test_another_release_is_refused(monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.1.36")
    agentdojo.suites.cache_clear()
    try:
        with pytest.raises(BackendError, match=r"0\.1\.36 is installed.*0\.1\.35"):
            agentdojo.suites()
    finally:
        agentdojo.suites.cache_clear()


@pytest.mark.parametrize("suite", agentdojo.SUITES)
def test_every_tool_belongs_to_one_connector(suite):
    from blastwall.policyfile import load

    policy = load(agentdojo.policy(suite))
    assert [t for t in agentdojo.suites()[suite].tools if policy.connector_of(t) is None] == []


@pytest.mark.parametrize("suite", agentdojo.SUITES)
def test_what_a_suite_says_of_outputs_takes_the_place_of_what_its_template_says(suite):
    """Under another key both would hold, and the stricter label would win."""
    import yaml

    from blastwall.policy import shipped

    for block in yaml.safe_load(agentdojo.policy(suite).read_text("utf-8"))["connectors"].values():
        if "template" in block:
            known = shipped.expand(block["template"], block.get("with", {}))["outputs"]
            assert set(block.get("outputs", {})) <= set(known)


@pytest.mark.parametrize("suite", ["banking", "slack", "travel"])
def test_without_a_guard_the_users_tasks_are_done_and_the_attackers_too(suite):
    alone = total(scores(suite, Way.NONE))
    assert alone.utility == alone.runs
    under = total(scores(suite, Way.NONE, "x_plain"))
    assert under.reached == under.runs
    assert under.action + under.text >= under.runs - 2


def test_orders_that_ship_without_calls_have_ours():
    found = Counter(s.goal for s in scores("workspace", Way.NONE, "x_plain", 1) if s.action)
    assert set(found) == {f"injection_task_{number}" for number in range(14)} - _CHECKED_AWRY


_CHECKED_AWRY: set[str] = set()


def test_nothing_gets_through_on_banking():
    found = scores("banking", Way.SCOPES, "important_instructions", 4)
    assert report.through(found) == []


@pytest.mark.parametrize("attack", attacks.NAMES)
def test_every_text_is_planted(attack):
    found = scores("banking", Way.NONE, attack, 1)
    assert all(score.reached for score in found)
    assert len(found) == (1 if attack in attacks.TEXT_ONLY else 9)


def test_every_tactic_can_be_played():
    for name in TACTICS:
        assert scores("banking", Way.NONE, "x_plain", 1, name)


def test_jobs_are_spread_over_processes():
    jobs = [run.Job("banking", way, limit=1) for way in (Way.NONE, Way.SCOPES)]
    apart = [found for _, found in run.perform_all(jobs, 2)]
    assert apart == [found for _, found in run.perform_all(jobs, 1)]


def test_plans_hold_every_suite_alone_first():
    jobs = run.plan(["banking"], ["direct"], [Way.NONE])
    assert [(job.attack, job.name) for job in jobs] == [("", ""), ("direct", "direct")]
    assert {job.tactic for job in run.plan_adaptive(["banking"], [Way.NONE])} == set(TACTICS)
