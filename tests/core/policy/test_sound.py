"""What could look like a mistake in a policy and is none."""

import pytest
from tests.core.policies import policy

from blastwall.policy import Policy


def taken(connector, **rest):
    return isinstance(policy({"version": 1, "connectors": {"it": connector}} | rest), Policy)


def rule(effect="allow", **keys):
    return {"rules": [{"id": "r", "effect": effect} | keys]}


@pytest.mark.parametrize("key", ["credentials", "egress"])
@pytest.mark.parametrize(
    "boxed", [{"server": {"command": "x"}}, rule(tools=["t"], sandbox="box")], ids=["server", "rule"]
)
def test_what_is_for_sandboxes_is_for_those_of_a_server_or_of_a_rule(key, boxed):
    given = {"credentials": ["key"], "egress": [{"host": "a.example"}]}[key]
    secrets = {"key": {"env": "A", "hosts": ["a.example"]}}
    assert taken(boxed | {key: given}, credentials=secrets, sandboxes={"box": {}})


@pytest.mark.parametrize(
    "told",
    [
        rule("deny", messages=["sampling/createMessage"]),
        rule(messages=["sampling/createMessage"], rate={"max": 1, "per_s": 60}),
        rule(messages=["sampling/createMessage"], budget={"session": 1}),
    ],
    ids=["denied", "rate", "budget"],
)
def test_what_takes_a_person_s_time_is_denied_or_counted(told):
    assert taken(told)


@pytest.mark.parametrize(
    "demand",
    [
        {"args": {"n": {"maximum": 1}}},
        {"flow": {"control": {"to": ["prompt"]}}},
        {"when": {"cel": "args.n == 1"}},
        {"rate": {"max": 1, "per_s": 60}},
        {"budget": {"session": 1}},
    ],
    ids=lambda demand: next(iter(demand)),
)
def test_whatever_a_rule_demands_there_is_an_otherwise(demand):
    assert taken(rule(tools=["t"], otherwise="deny", **demand))


def test_one_number_may_be_the_least_and_the_most():
    assert taken(rule(tools=["t"], args={"n": {"minimum": 1, "maximum": 1}}))


def test_the_records_of_a_policy_are_sources():
    flow = {"control": {"to": ["people"]}}
    assert taken(rule(tools=["t"], flow=flow), trusted_records={"people": ["@corp.example"]})


def test_a_scope_opens_one_connector_of_several():
    auth = {"issuer": "https://i.example", "audience": "https://m.example/mcp", "jwks": "https://i.example/k"}
    proxy = {"http": {"auth": auth | {"scopes": {"read": {"it": ["*"]}}}}}
    assert policy({"version": 1, "connectors": {"it": {}, "other": {}}, "proxy": proxy}).front.http
