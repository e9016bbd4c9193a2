"""Data is followed through the proxy: from a real server's output to the argument of the next call."""

from tests.adapters.mcp.rig import ERAS, behind, call, policy, proxied

READ = {"id": "read", "effect": "allow", "tools": ["get_*"]}
SEND = {
    "id": "send",
    "effect": "allow",
    "tools": ["send"],
    "flow": {"control": {"to": ["typed"]}, "content": {"args": ["text"], "max_confidentiality": "private"}},
    "rate": {"max": 2, "per_s": 3600},
}
OUTPUTS = {"get_*": {"fields": {"sender": "email", "body": {"confidentiality": "secret"}}}}


def mailbox(tmp_path, *rules, **blocks):
    connector = behind("letters.py", tmp_path / "sent", rules=list(rules)) | {"outputs": OUTPUTS}
    return policy(tmp_path, {"mail": connector}, **blocks)


def sent(tmp_path):
    return (tmp_path / "sent").read_text().split() if (tmp_path / "sent").exists() else []


ORDERED = {"to": "audit@corp-billing.example", "text": "77-1942-K"}


@ERAS
async def test_the_order_works_where_no_rule_follows_the_data(mode, tmp_path):
    """The control of the next test."""
    free = {key: value for key, value in SEND.items() if key != "flow"}
    async with proxied(mailbox(tmp_path, READ, free), mode) as client:
        await call(client, "mail__get_mail", id=1)
        assert await call(client, "mail__send", **ORDERED) == (False, "sent")
    assert sent(tmp_path) == ["audit@corp-billing.example"]


@ERAS
async def test_what_a_mail_names_steers_nothing_and_its_secrets_stay(mode, tmp_path):
    async with proxied(mailbox(tmp_path, READ, SEND), mode) as client:
        await call(client, "mail__get_mail", id=1)
        failed, why = await call(client, "mail__send", **ORDERED)
        assert failed
        assert "to must come from a typed field, and was seen in mail.get_mail $." in why
        assert "text holds something secret" in why
        assert "audit@" not in why
        leaked = await call(client, "mail__send", to="dora.heinz@corp.example", text="It is 771942K, right?")
        assert leaked[0]
        assert await call(client, "mail__send", to="dora.heinz@corp.example", text="Hello.") == (
            False,
            "sent",
        )
    assert sent(tmp_path) == ["dora.heinz@corp.example"]


async def test_a_rate_outlives_the_proxy(tmp_path):
    file = mailbox(tmp_path, READ, SEND)
    for expected in ("sent", "sent", "used-up"):
        async with proxied(file) as client:
            await call(client, "mail__get_mail", id=1)
            _, text = await call(client, "mail__send", to="dora.heinz@corp.example", text="Hello.")
            assert expected in text
    assert len(sent(tmp_path)) == 2


async def test_a_project_s_file_takes_away_and_adds_nothing(tmp_path, monkeypatch):
    file = mailbox(tmp_path, READ, {key: value for key, value in SEND.items() if key != "rate"})
    narrower = tmp_path / "project.yaml"
    narrower.write_text(
        '{{"version": 1, "connectors": {{"mail": {{"rules": [{}, {}]}}}}}}'.format(
            '{"id": "r", "effect": "allow", "tools": ["get_*", "delete_*"]}',
            '{"id": "no", "effect": "deny", "tools": ["send"]}',
        )
    )
    monkeypatch.setattr("tests.adapters.mcp.rig.proxy_argv", lambda f: _argv(f, narrower))
    async with proxied(file) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["mail__get_mail"]
        await call(client, "mail__get_mail", id=1)
        failed, why = await call(client, "mail__send", to="dora.heinz@corp.example", text="Hello.")
        assert failed
        assert "mail.no" in why


def _argv(file, narrower):
    import sys
    from pathlib import Path

    command = str(Path(sys.executable).with_name("blastwall"))
    return [command, "proxy", "--policy", str(file), "--policy", str(narrower)]
