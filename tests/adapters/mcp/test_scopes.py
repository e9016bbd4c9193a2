"""A tool that the policy does not permit is neither shown nor run, whoever knows its name."""

import pytest
from mcp import Client
from tests.adapters.mcp.rig import ERAS, behind, call, policy, proxied

READ_ONLY = [
    {"id": "read", "effect": "allow", "tools": ["*"], "when": {"annotations": {"readOnlyHint": True}}},
    {"id": "never", "effect": "deny", "tools": ["delete_*"], "instead": "leave it where it is"},
]


async def names(client: Client) -> set[str]:
    return {tool.name for tool in (await client.list_tools()).tools}


@ERAS
async def test_the_tool_runs_where_the_policy_allows_it(mode, tmp_path):
    """The control of the next test."""
    async with proxied(policy(tmp_path, {"good": behind("good.py", tmp_path)}), mode) as client:
        assert "good__delete_all" in await names(client)
        assert await call(client, "good__delete_all") == (False, "deleted")
    assert (tmp_path / "deleted").exists()


@ERAS
async def test_a_denied_tool_is_hidden_and_refused_by_name(mode, tmp_path):
    rules = [{"id": "all", "effect": "allow", "tools": ["*"]}, READ_ONLY[1]]
    async with proxied(policy(tmp_path, {"good": behind("good.py", tmp_path, rules=rules)}), mode) as client:
        assert "good__delete_all" not in await names(client)
        failed, text = await call(client, "good__delete_all")
    assert failed
    assert "good.never" in text
    assert "leave it where it is" in text
    assert not (tmp_path / "deleted").exists()


@ERAS
async def test_annotations_reach_the_policy_and_missing_hints_are_the_worst_case(mode, tmp_path):
    connector = behind("good.py", tmp_path, rules=READ_ONLY) | {"trust_annotations": True}
    async with proxied(policy(tmp_path, {"good": connector}), mode) as client:
        assert await names(client) == {"good__echo"}
        assert await call(client, "good__echo", text="hi") == (False, "hi")
        assert (await call(client, "good__add", a=1, b=2))[0]


async def test_arguments_outside_their_scope_are_refused(tmp_path):
    rules = [{"id": "short", "effect": "allow", "tools": ["echo"], "args": {"text": {"max_length": 3}}}]
    async with proxied(policy(tmp_path, {"good": behind("good.py", tmp_path, rules=rules)})) as client:
        assert await call(client, "good__echo", text="hi") == (False, "hi")
        failed, text = await call(client, "good__echo", text="hello")
    assert failed
    assert "good.short" in text


async def test_an_ask_rule_without_anybody_to_ask_refuses(tmp_path):
    rules = [{"id": "ask", "effect": "ask", "tools": ["*"]}]
    async with proxied(policy(tmp_path, {"good": behind("good.py", tmp_path, rules=rules)})) as client:
        assert "good__delete_all" in await names(client)
        failed, text = await call(client, "good__delete_all")
    assert failed
    assert "approval-unavailable" in text
    assert not (tmp_path / "deleted").exists()


@ERAS
async def test_tools_that_can_not_be_shown_are_hidden_with_a_word_to_the_operator(mode, tmp_path):
    file = policy(tmp_path, {"broken": behind("broken.py")})
    with (tmp_path / "stderr").open("w+") as errors:
        async with proxied(file, mode, errors) as client:
            shown = await names(client)
            for tool in ("poisoned", "poisoned_schema", "remote_schema", "twice"):
                failed, text = await call(client, f"broken__{tool}")
                assert failed
                assert "can't be used" in text
                assert f"broken__{tool}" not in shown
        said = (tmp_path / "stderr").read_text()
    assert "broken__fine" in shown
    assert ("broken__array" in shown) is (mode == "auto"), "older versions know objects as results only"
    assert "tool broken__poisoned is hidden: this tool can't be used: its description carries" in said
    assert "tool broken__twice is hidden" in said


async def test_a_name_that_is_too_long_is_cut_and_still_works(tmp_path):
    async with proxied(policy(tmp_path, {"broken": behind("broken.py")})) as client:
        (name,) = [n for n in await names(client) if n.startswith("broken_a_name_with")]
        assert len(name) <= 64
        failed, text = await call(client, name)
    assert not failed
    assert text.startswith("a name with spaces and very many words")


@pytest.mark.parametrize("server", ["changing.py", "legacy.py"])
async def test_a_list_that_changed_is_fetched_again(server, tmp_path):
    async with proxied(policy(tmp_path, {"it": behind(server)})) as client:
        assert "it__grown" not in await names(client)
        assert await call(client, "it__grow") == (False, "grown")
        for _ in range(1000):  # the news travels on its own; each list is a round trip to the proxy
            if "it__grown" in await names(client):
                break
        else:
            pytest.fail("the new tool never showed")
