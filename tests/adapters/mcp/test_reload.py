"""The proxy takes a changed policy over while it runs: its list, its verdicts and its screening."""

import json
import os

import pytest
from mcp import Client
from tests.adapters.mcp.rig import behind, call, policy, proxied

from blastwall.screening.settings import DEFAULT_ACTIONS, FIXED


async def names(client: Client) -> set[str]:
    return {tool.name for tool in (await client.list_tools()).tools}


def swap(tmp_path, change) -> None:
    """Change a policy as an editor should."""
    file = tmp_path / "blastwall.yaml"
    content = json.loads(file.read_text())
    change(content)
    new = tmp_path / "new"
    new.write_text(json.dumps(content))
    os.utime(new, (0, 0))
    new.replace(file)


async def shown(client: Client, expected: set[str]) -> None:
    """Wait until the list is as it should be; each list is a round trip to the proxy."""
    for _ in range(2000):
        if await names(client) == expected:
            return
    pytest.fail(f"the list is still {await names(client)}")


async def test_a_changed_policy_shows_and_hides_tools_and_decides(tmp_path):
    only = [{"id": "echo", "effect": "allow", "tools": ["echo"]}]
    file = policy(tmp_path, {"good": behind("good.py", tmp_path, rules=only)})
    async with proxied(file) as client:
        assert await names(client) == {"good__echo"}
        assert (await call(client, "good__add", a=1, b=2))[0]
        swap(tmp_path, lambda content: content["connectors"]["good"]["rules"][0].update(tools=["add"]))
        await shown(client, {"good__add"})
        assert not (await call(client, "good__add", a=1, b=2))[0]
        assert (await call(client, "good__echo", text="hi"))[0]
    log = [json.loads(line) for line in (tmp_path / "state" / "audit.jsonl").read_text().splitlines()]
    (loaded,) = [record for record in log if record["event"] == "policy-loaded"]
    assert loaded["policy"] == loaded["details"]["to"] == log[-1]["policy"]
    assert log[0]["policy"] == loaded["details"]["from"] != loaded["policy"]


async def test_descriptions_are_screened_anew_by_a_changed_policy(tmp_path):
    file = policy(tmp_path, {"broken": behind("broken.py")})
    async with proxied(file) as client:
        before = await names(client)
        assert "broken__poisoned" not in before
        lax = {"actions": dict.fromkeys(DEFAULT_ACTIONS.keys() - FIXED, "pass")}
        swap(tmp_path, lambda content: content["connectors"]["broken"].update(screening=lax))
        await shown(client, before | {"broken__poisoned", "broken__poisoned_schema"})


async def test_a_connector_that_is_taken_out_leaves_the_others_alone(tmp_path):
    file = policy(tmp_path, {"good": behind("good.py", tmp_path), "it": behind("changing.py")})
    async with proxied(file) as client:
        before = await names(client)
        assert "it__grow" in before
        swap(tmp_path, lambda content: content["connectors"].pop("it"))
        await shown(client, {name for name in before if name.startswith("good__")})
        failed, text = await call(client, "it__grow")
        assert failed
        assert "unknown-connector" in text
        assert await call(client, "good__echo", text="hi") == (False, "hi")


async def test_a_server_that_is_written_anew_takes_effect_after_a_restart(tmp_path):
    file = policy(tmp_path, {"good": behind("good.py", tmp_path)})
    with (tmp_path / "stderr").open("w+") as errors:
        async with proxied(file, errlog=errors) as client:
            before = await names(client)

            def change(content):
                content["connectors"]["good"]["server"]["args"] = ["gone.py"]
                content["connectors"]["good"]["rules"][0]["tools"] = ["echo"]

            swap(tmp_path, change)
            await shown(client, {"good__echo"} & before)
            assert await call(client, "good__echo", text="hi") == (False, "hi")
        said = (tmp_path / "stderr").read_text()
    assert "connectors.good.server: this takes effect after a restart" in said
