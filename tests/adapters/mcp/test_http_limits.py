"""How much one principal may have of everything, and for how long."""

import asyncio

import pytest
from tests.adapters.mcp.rig import behind, policy

from blastwall.guard import Guard
from blastwall_mcp.fronts import abilities as _abilities
from blastwall_mcp.fronts import notices as _notices
from blastwall_mcp.fronts.abilities import MOST, Abilities, known
from blastwall_mcp.fronts.limits import Busy, Pool, Sessions
from blastwall_mcp.fronts.notices import Notices
from blastwall_mcp.fronts.principals import Grants, Principal
from blastwall_mcp.fronts.runs import SWEEP_S, Runs


def principal(subject, client="editor", issuer="https://issuer.example"):
    return Principal(issuer, subject, client, frozenset({"mcp"}))


def test_places_are_counted_for_each_and_for_all():
    pool = Pool(3, 2)
    with pool.place("ann"), pool.place("ann"):
        with pytest.raises(Busy) as mine, pool.place("ann"):
            pass
        with pool.place("bob"), pytest.raises(Busy) as full, pool.place("eve"):
            pass
    assert (mine.value.mine, full.value.mine) == (True, False)
    assert not pool.held


def test_sessions_that_are_being_opened_count():
    sessions = Sessions(2, 1)
    with sessions.opening("ann"), pytest.raises(Busy), sessions.opening("ann"):
        pass
    sessions.opened("s", "ann")
    assert sessions.of("s", "ann")
    assert not sessions.of("s", "bob")
    assert sessions.stolen("s", "bob")
    assert not sessions.stolen("x", "bob")
    sessions.closed("s")
    sessions.closed("s")
    with sessions.opening("ann"):
        pass


def test_no_part_of_a_principal_s_name_runs_into_another():
    names = {
        principal(*parts).name
        for parts in (("a", "b", "c"), ("a b", "", "c"), ('a", "b', "", "c"), ("", "a b", "c"))
    }
    assert len(names) == 4
    assert Principal().name == "local"


@pytest.mark.parametrize(
    ("held", "connector", "tool", "reached"),
    [
        (None, "x", "y", True),
        (frozenset(), "mail", "send", False),
        (frozenset({"mail"}), "mail", "send", True),
        (frozenset({"mail"}), "mail", "delete", False),
        (frozenset({"mail"}), "files", "send", False),
        (frozenset({"mail", "files"}), "files", "read", True),
        (frozenset({"unknown"}), "mail", "send", False),
        (frozenset({"files"}), "files", "mcp:resources/read", False),
        (frozenset({"docs"}), "files", "mcp:resources/read", True),
        (frozenset({"docs"}), "files", "mcp:prompts/get", False),
    ],
)
def test_a_scope_opens_what_its_globs_cover(held, connector, tool, reached):
    grants = Grants(
        {
            "mail": {"mail": ("send", "list_*")},
            "files": {"f*": ("*",)},
            "docs": {"*": ("mcp:resources/*",)},
        }
    )
    assert grants.reach(held, connector, tool) is reached


def test_the_first_scope_that_would_do_is_named():
    grants = Grants({"read": {"mail": ("list",)}, "all": {"*": ("*",)}})
    assert [grants.wanting("mail", tool) for tool in ("list", "send", "mcp:prompts/get")] == [
        "read",
        "all",
        "",
    ]
    assert Grants({}).reach(frozenset(), "mail", "send")


def test_of_capabilities_only_what_is_known_counts():
    given = {
        "roots": {"listChanged": True, "x": 1},
        "elicitation": {"form": {"deep": [1]}, "url": 7, "x": {}},
        "sampling": [],
        "experimental": {"x": {}},
    }
    assert known(given) == {"roots": {"listChanged": True}, "elicitation": {"form": {}, "url": {}}}
    assert known(None) == known([]) == known("x") == {}


def test_only_so_many_sets_of_capabilities_are_in_use(monkeypatch):
    monkeypatch.setattr(_abilities, "MOST_PRINCIPALS", 2)
    now = [0.0]
    abilities = Abilities(60, lambda: now[0])
    for number in range(MOST):
        abilities.use("ann", {"set": number})
    with pytest.raises(Busy):
        abilities.use("ann", {"set": "new"})
    abilities.use("ann", {"set": 0})
    abilities.use("bob", {"set": "new"})
    now[0] = 61
    abilities.use("ann", {"set": "new"})  # in the place of one that nobody used for so long
    abilities.use("eve", {})
    assert list(abilities._used) == ["ann", "eve"]


@pytest.fixture
def guard(tmp_path):
    return Guard.from_file(policy(tmp_path, {"x": behind("good.py", tmp_path)}))


async def test_a_run_ends_when_nobody_uses_it(guard):
    now = [0.0]
    runs = Runs(guard, 2, 60, lambda: now[0])
    first, same, other = [await runs.of(principal(who)) for who in ("ann", "ann", "bob")]
    assert first is same
    with pytest.raises(Busy):
        await runs.of(principal("eve"))
    with runs.using(first):
        now[0] = 61 + SWEEP_S
        await runs.of(principal("eve"))  # bob's is over, ann's is in use
        assert await runs.of(principal("ann")) is first
    assert first.session.id != other.session.id
    runs.close()
    assert not runs._open


async def test_nobody_waits_for_a_client_that_does_not_read(monkeypatch):
    monkeypatch.setattr(_notices, "MOST", 3)
    told, go = [], asyncio.Event()

    class Out:
        async def notify(self, method, params, opts=None):
            await go.wait()
            told.append(method)

        async def send_raw_request(self, method, params, opts=None):
            return {"method": method, "opts": opts}

    notices = Notices(Out())
    async with asyncio.timeout(1):
        for number in range(10):
            await notices.notify(f"notice-{number}", None)
        assert (await notices.send_raw_request("roots/list", None))["opts"] == {"timeout": 60.0}
    go.set()
    await asyncio.sleep(0.05)
    assert told == ["notice-0", "notice-1", "notice-2"]
    await notices.notify("later", None)
    await asyncio.sleep(0.05)
    assert told[-1] == "later"
    notices.close()
