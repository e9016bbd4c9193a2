"""Messages of the protocol: judged by rules of their own, never by what was meant for tools."""

import pytest
from tests.core.policies import policy
from tests.core.policy import reference

from blastwall.advice.learn import learn
from blastwall.advice.lint import Tool, lint
from blastwall.paths import resolve
from blastwall.policy import Layered
from blastwall.policy.globs import meet, within
from blastwall.policy.messages import ASKED, EFFECTS, MESSAGE, PAID, is_message, only_by_rule, spelled
from blastwall.policy.observed import Observed
from blastwall.policy.rules import covered
from blastwall.policy.source import read
from blastwall.values import Allow, Ask, Confidentiality, Deny, Does, Integrity, Reason, ToolCall

TOOLS = {"id": "tools", "effect": "allow", "tools": ["*"]}
EVERY = {"id": "all", "effect": "allow", "messages": ["*"], "budget": {"session": 9}}
DOCS = {
    "id": "docs",
    "effect": "allow",
    "messages": ["resources/*"],
    "args": {"uri": {"pattern": "note://.*"}},
}
MESSAGES = [MESSAGE + known for known in EFFECTS]


def files(*rules, **more):
    connector = {"rules": list(rules)} | more.pop("connector", {})
    return policy({"version": 1, "connectors": {"files": connector}} | more)


def said(judge, message, **arguments):
    name = message if is_message(message) else MESSAGE + message
    return judge.decide(ToolCall.of("files", name, arguments), {})


def test_names_are_spelled_as_rules_write_them():
    written = list(spelled(["read_*", "mcp:prompts/get"]))
    assert written == [("tools", "read_*"), ("messages", "prompts/get")]


def test_the_messages_and_what_they_do_are_those_of_the_documentation():
    assert MESSAGE == "mcp:"
    assert EFFECTS == reference.MESSAGES
    assert ASKED == reference.ASKED_OF_CLIENTS
    assert PAID == reference.ASKED_OF_CLIENTS - {"roots/list"}


# --- Which rules speak of them --------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*MESSAGES, "mcp:", "mcp:tools/call", "mcp:x"])
@pytest.mark.parametrize("glob", ["*", "m*", "?cp:*", "*/*", "mcp?*", "*list", "?*"])
def test_no_glob_of_tools_covers_a_message(name, glob):
    assert not covered(name, (glob,))
    judge = files({"id": "tools", "effect": "allow", "tools": [glob]})
    assert isinstance(judge.decide(ToolCall.of("files", name, {}), {}), Deny)
    assert not judge.permits("files", name)


def test_no_glob_of_messages_covers_a_tool():
    judge = files(EVERY)
    for tool in ("resources/read", "read", "mcp", "MCP:resources/read", ""):
        assert isinstance(judge.decide(ToolCall.of("files", tool, {}), {}), Deny)
        assert not judge.permits("files", tool)


def test_a_glob_of_messages_covers_what_is_known_and_nothing_else():
    judge = files(EVERY)
    assert all(isinstance(said(judge, name), Allow) for name in MESSAGES)
    for unknown in ("mcp:tools/list", "mcp:resources/write", "mcp:tasks/result", "mcp:"):
        assert isinstance(said(judge, unknown), Deny)
        assert judge.permits("files", unknown) is False


def test_globs_of_both_kinds_never_meet():
    assert not within("mcp:resources/read", "*")
    assert not within("mcp*", "mcp:*")
    assert within("mcp:resources/read", "mcp:resources/*")
    assert not meet("*", "mcp:resources/read")
    assert meet("mcp:*", "mcp:resources/read")


def test_arguments_of_messages_are_constrained_like_those_of_tools():
    judge = files(
        DOCS,
        {"id": "p", "effect": "allow", "messages": ["prompts/get"], "args": {"name": {"enum": ["hi"]}, "arguments.who": {"max_length": 3}}},
        {"id": "l", "effect": "allow", "messages": ["logging/setLevel"], "args": {"level": {"enum": ["error"]}}},
    )  # fmt: skip
    assert isinstance(said(judge, "resources/read", uri="note://a"), Allow)
    assert isinstance(said(judge, "resources/read", uri="file:///a"), Deny)
    assert isinstance(said(judge, "prompts/get", name="hi", arguments={"who": "ann"}), Allow)
    assert isinstance(said(judge, "prompts/get", name="hi", arguments={"who": "everybody"}), Deny)
    assert isinstance(said(judge, "logging/setLevel", level="debug"), Deny)


def test_a_deny_rule_on_messages_takes_away_from_another():
    judge = files(EVERY, {"id": "no", "effect": "deny", "messages": ["sampling/*"]})
    denied = said(judge, "sampling/createMessage").denied
    assert (denied.reason, denied.rule) == (Reason.RULE, "files.no")
    assert isinstance(said(judge, "elicitation/create"), Allow)


# --- What only a rule permits ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", MESSAGES)
def test_permissive_enforcement_permits_nothing_that_servers_ask(name):
    judge = files(TOOLS, defaults={"enforcement": "permissive"})
    asked = name.removeprefix(MESSAGE) in ASKED
    assert isinstance(said(judge, name), Deny if asked else Allow)
    assert judge.permits("files", name) is not asked


@pytest.mark.parametrize("name", MESSAGES)
def test_unknown_tool_ask_asks_for_nothing_that_servers_ask(name):
    judge = files(defaults={"unknown_tool": "ask"})
    asked = name.removeprefix(MESSAGE) in ASKED
    assert isinstance(said(judge, name), Deny if asked else Ask)
    assert judge.permits("files", name) is not asked


def test_permissive_enforcement_permits_no_message_that_nobody_knows():
    judge = files(TOOLS, defaults={"enforcement": "permissive"})
    assert isinstance(said(judge, "tools/list"), Deny)
    assert only_by_rule("mcp:tools/list")
    assert not only_by_rule("mcp:resources/read")
    assert not only_by_rule("tools/list")


def test_permissive_enforcement_overlooks_nothing_of_what_servers_ask():
    session = {"rule_of_two": "deny"}
    judge = files(EVERY, session=session, defaults={"enforcement": "permissive"})
    from blastwall.provenance import Context

    seen = Context(integrity=Integrity.EXTERNAL, confidentiality=Confidentiality.PRIVATE)
    for method in ASKED:
        call = ToolCall.of("files", MESSAGE + method, {})
        wanted = Allow if EFFECTS[method] <= {Does.READ} else Deny
        assert isinstance(judge.decide(call, {}, seen), wanted)


@pytest.mark.parametrize("paid", sorted(PAID))
@pytest.mark.parametrize("limit", [{"budget": {"session": 2}}, {"rate": {"max": 2, "per_s": 60}}])
def test_what_takes_somebody_s_time_is_charged(paid, limit):
    verdict = said(files({"id": "a", "effect": "allow", "messages": [paid]} | limit), paid)
    assert [charge.limit for charge in verdict.charges] == [2]


def test_the_user_s_words_are_not_asked_for_messages():
    judge = files(EVERY, TOOLS, session={"intent": "deny"})
    assert isinstance(said(judge, "elicitation/create"), Allow)
    assert isinstance(judge.decide(ToolCall.of("files", "create", {}), {}), Deny)


# --- What they do ---------------------------------------------------------------------------------------


def test_what_messages_do_is_known_and_entries_only_add():
    connector = files(EVERY, connector={"effects": {"*": ["delete"], "mcp:resources/read": ["network-read"]}})
    known = connector.connectors["files"]
    call = ToolCall.of("files", "t", {})
    assert known.does("mcp:prompts/get", call.annotations) == {Does.READ}
    assert known.does("mcp:resources/read", call.annotations) == {Does.READ, Does.NETWORK_READ}
    assert known.does("mcp:sampling/createMessage", call.annotations) == {Does.NETWORK_SEND, Does.SPEND}
    assert known.does("mcp:nobody/knows", call.annotations) == frozenset(Does)


def test_outputs_of_messages_are_labelled_by_entries_of_their_own():
    judge = files(EVERY, connector={"outputs": {"*": {"integrity": "internal"}, "mcp:resources/*": {"confidentiality": "public"}}})  # fmt: skip
    assert judge.labels(ToolCall.of("files", "t", {})).default.integrity is Integrity.INTERNAL
    resource = judge.labels(ToolCall.of("files", "mcp:resources/read", {})).default
    assert (resource.integrity, resource.confidentiality) == (Integrity.EXTERNAL, Confidentiality.PUBLIC)


def test_pins_of_tools_say_nothing_of_messages():
    judge = files(TOOLS, DOCS, connector={"pin": {"t": "a" * 64}})
    assert isinstance(said(judge, "resources/read", uri="note://a"), Allow)
    assert judge.permits("files", "mcp:resources/read")
    assert not judge.permits("files", "t", fingerprint="b" * 64)


def test_pinning_at_first_use_is_no_pin_of_the_policy():
    judge = files(TOOLS, connector={"pin": "first-use"})
    assert judge.first_use("files")
    assert not judge.pins("files")
    assert judge.permits("files", "t")
    assert not judge.first_use("nobody")
    assert not files(TOOLS).first_use("files")
    assert Layered(files(TOOLS), (judge,)).first_use("files")
    assert not Layered(files(TOOLS), (files(TOOLS),)).first_use("files")


# --- What a list may show -------------------------------------------------------------------------------

ALLOW = {"id": "a", "effect": "allow", "messages": ["resources/read"]}
OTHER = ALLOW | {"id": "b", "effect": "deny"}
NOTES = {"args": {"uri": {"pattern": "note://.*"}}}
OPEN = NOTES["args"] | {"who": {"enum": ["me"]}}


@pytest.mark.parametrize(
    ("rules", "known", "shown"),
    [
        ([ALLOW | NOTES], {"uri": "note://a"}, True),
        ([ALLOW | NOTES], {"uri": "file:///a"}, False),
        ([ALLOW | NOTES], {"uri": 7}, False),
        ([ALLOW | NOTES], {}, True),
        ([ALLOW | NOTES], None, True),
        ([ALLOW | {"args": OPEN}], {"uri": "note://a"}, True),
        ([ALLOW | {"args": OPEN}], {"uri": "file:///a"}, False),
        (
            [ALLOW | {"args": {"uri": {"under": ["/srv"]}}}],
            {"uri": "/etc/passwd"},
            True,
        ),  # where it leads isn't known
        ([ALLOW | NOTES | {"otherwise": "ask"}], {"uri": "file:///a"}, True),
        ([ALLOW | NOTES | {"otherwise": "deny"}], {"uri": "file:///a"}, False),
        ([ALLOW | NOTES | {"otherwise": "deny"}, ALLOW | {"id": "c"}], {"uri": "file:///a"}, False),
        ([ALLOW | NOTES | {"otherwise": "deny"}, ALLOW | {"id": "c"}], {"uri": "note://a"}, True),
        ([ALLOW, OTHER | NOTES], {"uri": "note://a"}, False),
        ([ALLOW, OTHER | NOTES], {"uri": "file:///a"}, True),
        ([ALLOW, OTHER | NOTES], {"uri": 7}, False),
        ([ALLOW, OTHER | NOTES], {}, True),
        ([ALLOW, OTHER | {"args": OPEN}], {"uri": "note://a"}, True),
        ([ALLOW, OTHER], {}, False),
        ([ALLOW | NOTES | {"effect": "ask"}], {"uri": "note://a"}, True),
        ([ALLOW | NOTES | {"effect": "ask"}], {"uri": "file:///a"}, False),
        ([ALLOW | {"id": "c"}, ALLOW | NOTES | {"effect": "ask"}], {"uri": 7}, False),
        ([ALLOW | {"id": "c"}, ALLOW | {"args": OPEN, "effect": "ask"}], {"uri": 7}, True),
        ([OTHER | NOTES], {"uri": "file:///a"}, False),
    ],
)
def test_a_list_shows_what_some_use_of_could_run(rules, known, shown):
    judge = files(*rules)
    assert judge.permits("files", "mcp:resources/read", known=known) is shown
    assert Layered(files(EVERY), (judge,)).permits("files", "mcp:resources/read", known=known) is shown


def test_what_is_not_shown_does_not_run():
    """Whatever `known` hides is refused, whatever the other arguments are."""
    for rules in ([ALLOW | {"args": OPEN}], [ALLOW, OTHER | NOTES], [ALLOW | NOTES | {"otherwise": "deny"}]):
        judge = files(*rules)
        for uri in ("note://a", "file:///a", 7, None):
            if not judge.permits("files", "mcp:resources/read", known={"uri": uri}):
                for who in ("me", "you", None):
                    assert isinstance(said(judge, "resources/read", uri=uri, who=who), Deny)


# --- Advice ---------------------------------------------------------------------------------------------


def test_lint_takes_rules_on_messages_for_what_they_are():
    text = (
        "version: 1\nconnectors:\n  files:\n    outputs: {'mcp:resources/*': {integrity: internal}}\n    rules:\n"
        "      - {id: a, effect: allow, messages: ['*'], budget: {session: 5}}\n"
        "      - {id: b, effect: deny, messages: [roots/list]}\n"
    )
    assert lint(policy(text), read(text), {"files": (Tool("t", frozenset()),)}) == []


def test_a_message_that_was_let_run_gets_a_rule_on_messages():
    call = ToolCall.of("files", "mcp:resources/read", {"uri": "note://a"})
    seen = Observed(1, "files", call.tool, call.digest, "allow", "permissive", "no-rule", call)
    for judge in (files(), None):
        (proposed,) = learn([seen], resolve, policy=judge).proposals
        assert proposed.rule["messages"] == ["resources/read"]
        assert proposed.rule["id"] == "learned-resources-read"
        assert proposed.rule["effect"] == "allow"
        assert "tools" not in proposed.rule
