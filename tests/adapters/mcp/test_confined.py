"""Servers inside a sandbox: their own, or a second instance that a rule asks for."""

from typing import Any

from mcp import Client
from tests.adapters.mcp.rig import ERAS, NEEDS_SANDBOX, behind, box, call, policy, proxied, result_of

pytestmark = NEEDS_SANDBOX


async def where(client: Client, tool: str = "good__where") -> Any:
    result = await result_of(client, tool, {})
    assert not result.is_error, result.content
    return result.structured_content


@ERAS
async def test_a_server_in_its_own_sandbox_cannot_write_outside(mode, tmp_path):
    open_ = policy(tmp_path, {"good": behind("good.py", tmp_path)})
    async with proxied(open_, mode) as client:
        assert (await where(client))["writes"]
    (tmp_path / "written").unlink()
    connector = behind("good.py", tmp_path, sandbox="box", env={"SECRET": "given"})
    boxed = policy(tmp_path, {"good": connector}, sandboxes=box(tmp_path))
    async with proxied(boxed, mode) as client:
        inside = await where(client)
    assert not inside["writes"]
    assert inside["secret"] == "given"
    assert not (tmp_path / "written").exists()


async def test_a_rule_routes_a_call_to_a_second_instance_in_its_sandbox(tmp_path):
    rules = [
        {"id": "free", "effect": "allow", "tools": ["where_else"]},
        {"id": "boxed", "effect": "allow", "tools": ["where"], "sandbox": "box"},
    ]
    file = policy(tmp_path, {"good": behind("good.py", tmp_path, rules=rules)}, sandboxes=box(tmp_path))
    async with proxied(file) as client:
        free = await where(client, "good__where_else")
        first, second = await where(client), await where(client)
    assert free["writes"]
    assert not first["writes"]
    assert first == second, "one instance serves all calls of a profile"
    assert first["instance"] != free["instance"]


async def test_a_rule_with_the_sandbox_of_the_server_needs_no_second_instance(tmp_path):
    rules = [
        {"id": "boxed", "effect": "allow", "tools": ["where"], "sandbox": "box"},
        {"id": "plain", "effect": "allow", "tools": ["where_else"]},
    ]
    connector = behind("good.py", tmp_path, rules=rules, sandbox="box")
    async with proxied(policy(tmp_path, {"good": connector}, sandboxes=box(tmp_path))) as client:
        assert await where(client) == await where(client, "good__where_else")


async def test_no_sandbox_of_the_wanted_strength_means_no_call(tmp_path):
    rules = [{"id": "vm", "effect": "allow", "tools": ["*"], "sandbox": "strong"}]
    file = policy(
        tmp_path,
        {"good": behind("good.py", tmp_path, rules=rules)},
        sandboxes={"strong": {"strength": "vm"}},
    )
    missing = (
        "import shutil\nwhich = shutil.which\n"
        "shutil.which = lambda name, *a, **k: None if name.startswith('qemu') else which(name, *a, **k)"
    )
    async with proxied(file, before=missing) as client:
        failed, text = await call(client, "good__delete_all")
    assert failed
    assert "sandbox-unavailable" in text
    assert "apt-get install" in text
    assert not (tmp_path / "deleted").exists()
