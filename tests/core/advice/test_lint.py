"""The linter: every finding is found, at its place, and a sound policy has none."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from tests.core.policies import policy
from tests.core.policy.test_decide import call, compiled, connectors, decided

from blastwall.advice.lint import Tool, lint
from blastwall.advice.wide import ANYBODY_S_HOSTS, ANYBODY_S_MAIL, wide
from blastwall.policy import shipped
from blastwall.policy.source import read
from blastwall.values import Annotations

TOOLS = {
    "files": (
        Tool("read_file", frozenset({"path", "head"})),
        Tool("list_folder", frozenset({"path"})),
        Tool("write_file", frozenset({"path", "content"})),
        Tool("whoami", frozenset()),
        Tool("loose"),
    )
}
STATED = {"readOnlyHint": True, "destructiveHint": True, "idempotentHint": False, "openWorldHint": True}
HEAD = "version: 1\nconnectors:\n  files:\n"
READS = '    effects: {"*": [read]}\n'
RULES = "    rules:\n"


def look(text, tools=TOOLS, narrowing=(), **options):
    layers = [policy(layer) for layer in narrowing]
    return lint(policy(text), read(text), tools, layers, **options)


def told(text, *args, **options):
    return [(one.code, one.line, one.column, one.path) for one in look(text, *args, **options)]


def rule(text, id="r", effect="allow"):
    return f"      - {{id: {id}, effect: {effect}, {text}}}\n"


def own(*rules):
    return HEAD + READS + RULES + "".join(rules)


def codes(*rules, **options):
    return [one.code for one in look(own(*rules), **options)]


def test_a_sound_policy_has_nothing():
    assert look(own(rule('tools: ["read_*"], args: {path: {under: [/srv/project]}}'))) == []


class TestDeadGlobs:
    def test_a_pattern_that_covers_no_known_tool(self):
        text = own(rule('tools: ["read_*", "raed_*"]'))
        (one,) = look(text)
        assert (one.code, one.line, one.column, one.path) == (
            "dead-glob",
            6,
            50,
            "connectors.files.rules.0.tools.1",
        )
        assert one.message == "'raed_*' covers none of the 5 known tools of files"
        assert "list_folder, loose, read_file" in one.fix

    @pytest.mark.parametrize(
        ("known", "listed"), [(8, "t0, t1, t2, t3, t4, t5, t6, t7"), (9, "t7 and 1 more")]
    )
    def test_no_more_than_eight_known_tools_are_listed(self, known, listed):
        tools = {"files": tuple(Tool(f"t{i}") for i in range(known))}
        (one,) = look(HEAD + '    outputs: {"raed_*": {integrity: internal}}\n', tools)
        assert one.fix.endswith(listed)

    def test_everywhere_where_tools_are_named(self):
        text = (
            HEAD
            + '    effects: {"read_*|raed_*": [read]}\n    outputs: {"luost": {integrity: internal}}\n'
            + f"    pin: {{raed_file: {'a' * 64}}}\n"
            + RULES
            + rule("tools: [read_file]")
        )
        assert told(text) == [
            ("dead-glob", 4, 15, "connectors.files.effects.read_*|raed_*"),
            ("dead-glob", 5, 15, "connectors.files.outputs.luost"),
            ("dead-glob", 6, 11, "connectors.files.pin.raed_file"),
        ]

    def test_without_tools_nothing_is_known_to_be_dead(self):
        assert look(own(rule('tools: ["raed_*"]')), tools={}) == []


class TestShadowed:
    @pytest.mark.parametrize("effect", ["allow", "ask"])
    def test_by_a_deny(self, effect):
        rules = (
            rule("tools: [read_file], args: {path: {under: [/srv/p]}}", effect=effect),
            rule('tools: ["*"]', "no", "deny"),
        )
        (one,) = look(own(*rules))
        assert (one.code, one.line) == ("shadowed", 6)
        assert one.message == "this never decides anything: files.no denies all its tools"

    def test_by_a_wider_rule_of_the_same_effect(self):
        for effect in ("allow", "deny"):
            narrow = rule("tools: [read_file], args: {path: {under: [/srv/p]}}", effect=effect)
            (one,) = look(own(narrow, rule('tools: ["read_*"]', "wide", effect)))
            does = {"allow": "allows", "deny": "denies"}[effect]
            assert one.message == f"this never decides anything: files.wide {does} all its tools"
        assert codes(rule("tools: [read_file]", effect="ask"), rule('tools: ["*"]', "wide", "ask")) == [
            "shadowed"
        ]

    def test_by_a_wider_rule_that_asks(self):
        """It is no exception to it: the stricter rule decides, not the narrower one."""
        narrow = rule("tools: [read_file], args: {path: {under: [/srv/p]}}")
        (one,) = look(own(narrow, rule('tools: ["*"]', "wide", "ask")))
        assert one.message == "this never decides anything: files.wide asks for all its tools"
        assert one.fix.startswith("deny beats ask beats allow")
        confined = narrow.replace("args", "sandbox: box, args")
        assert look(own(confined, rule('tools: ["*"]', "wide", "ask")) + "sandboxes: {box: {}}\n") == []

    @pytest.mark.parametrize("tools", ["[read_file]", "[read_file, list_folder]"])
    def test_of_two_that_are_the_same_the_later_one_is_told(self, tools):
        rules = rule(f"tools: {tools}", "one"), rule(f"tools: {tools}", "two")
        assert [one.path for one in look(own(*rules))] == ["connectors.files.rules.1.id"]

    def test_of_two_that_are_not_the_narrow_one_is_told_wherever_it_stands(self):
        narrow, wider = rule("tools: [read_file]", "one"), rule("tools: [read_file, list_folder]", "two")
        for rules, path in (((narrow, wider), "rules.0.id"), ((wider, narrow), "rules.1.id")):
            assert [one.path for one in look(own(*rules))] == [f"connectors.files.{path}"]

    @pytest.mark.parametrize(
        "more",
        [
            "otherwise: ask, args: {path: {under: [/srv/p]}}",
            "rate: {max: 1, per_s: 1}",
            "budget: {session: 1}",
            "flow: {bounded: {head: {max_sum: 1}}}",
            "flow: {intent: {verbs: [read]}}",
            "sandbox: box",
        ],
    )
    def test_not_where_the_narrow_rule_adds_something(self, more):
        text = (
            own(rule(f"tools: [read_file], {more}"), rule('tools: ["*"]', "wide")) + "sandboxes: {box: {}}\n"
        )
        assert look(text) == []

    @pytest.mark.parametrize("more", ["", ", sandbox: box"])
    def test_a_sandbox_on_the_wider_rule_holds_for_the_narrow_one_too(self, more):
        rules = rule(f"tools: [read_file]{more}"), rule('tools: ["*"], sandbox: box', "wide")
        assert [one.code for one in look(own(*rules) + "sandboxes: {box: {}}\n")] == ["shadowed"]

    def test_an_ask_rule_with_demands_denies_what_it_can_not_check(self):
        narrow = rule("tools: [read_file], args: {path: {under: [/srv/p]}}", effect="ask")
        assert codes(narrow.replace("allow", "ask"), rule('tools: ["*"]', "wide")) == []

    def test_not_by_a_rule_with_demands_or_of_another_effect(self):
        narrow = rule("tools: [read_file], args: {path: {under: [/srv/p]}}")
        assert codes(narrow, rule('tools: ["*"], args: {path: {under: [/srv]}}', "wide"), tools={}) == []
        assert codes(narrow.replace("allow", "ask"), rule('tools: ["*"]', "wide")) == []
        assert codes(narrow, rule("tools: [read_fil]", "no", "deny"), tools={}) == []

    def test_not_by_a_rule_for_some_annotations_only(self):
        annotated = 'tools: ["*"], when: {annotations: {destructiveHint: true}}'
        assert codes(rule("tools: [read_file]"), rule(annotated, "no", "deny")) == []

    def test_by_another_layer(self):
        text = own(
            rule("tools: [read_file]"), rule("tools: [list_folder]", "l"), rule("tools: [loose]", "o", "deny")
        )
        layer = own(
            rule('tools: ["list_*"]', "l"),
            rule("tools: [list_folder]", "no", "deny"),
            rule("tools: [read_f]", "r"),
        )
        message = "this lets nothing through: the layer policy.yaml refuses all its tools"
        assert [(one.code, one.path, one.message) for one in look(text, narrowing=[layer])] == [
            ("shadowed", f"connectors.files.rules.{i}.id", message) for i in (0, 1)
        ]
        assert look(text, narrowing=[own(rule('tools: ["*"]'))]) == []
        assert look(text, narrowing=[HEAD.replace("files", "other") + "    rules: []\n"]) == []
        assert len(look(text, narrowing=[HEAD.replace("files", '"*"') + "    rules: []\n"])) == 2

    def test_not_by_a_layer_that_lets_one_of_its_tools_through(self):
        both = own(rule("tools: [read_file, list_folder]"))
        assert look(both, narrowing=[own(rule("tools: [read_file]"))]) == []

    def test_by_a_layer_that_does_nothing_but_deny_some_calls(self):
        layer = own(rule("tools: [read_file], args: {path: {under: [/etc]}}", effect="deny"))
        assert [one.code for one in look(own(rule("tools: [read_file]")), narrowing=[layer])] == ["shadowed"]


@given(connectors())
def test_a_shadowed_rule_can_be_taken_out(connector):
    """No verdict changes without it."""
    data = {"version": 1, "connectors": {"files": connector}, "sandboxes": {"box": {}, "cage": {}}}
    text = json.dumps(data)
    shadowed = [one for one in lint(policy(text), read(text), {}) if one.code == "shadowed"]
    for one in shadowed[:1]:
        number = int(one.path.split(".")[3])
        without = connector | {"rules": connector["rules"][:number] + connector["rules"][number + 1 :]}
        for tool in ("a", "ab", "abb", "b", "x"):
            for arguments in ({}, {"p": 1}, {"p": "a"}, {"q": ["a", "b"]}, {"p": "~", "q": True}):
                asking = call(tool, arguments, STATED)
                before, after = (decided(compiled(block), asking) for block in (connector, without))
                assert type(before) is type(after)


class TestNoFlow:
    def told(self, effects, more="", tools=TOOLS):
        text = HEAD + effects + RULES + rule(f"tools: [write_file]{more}") + "sandboxes: {box: {}}\n"
        return [one.message for one in look(text, tools) if one.code == "no-flow"]

    def test_what_to_do(self):
        fix = "say with which data, under `flow`, or confine it with `sandbox`, or ask"
        (unsaid,) = look(HEAD + RULES + rule("tools: [loose]"))
        assert unsaid.fix == f"describe it under `effects`, or {fix}"
        (said,) = look(HEAD + '    effects: {"*": [delete]}\n' + RULES + rule("tools: [loose]"))
        assert said.fix == fix

    def test_a_tool_of_which_nothing_is_said(self):
        (message,) = self.told("")
        assert message == (
            "rule files.r allows 'write_file', of which nothing says what it does: it may destroy, and reach anybody"
        )

    @pytest.mark.parametrize(
        "effect", ["delete", "network-send", "spend", "execute", "credential", "persist", "escalate"]
    )
    def test_a_tool_that_destroys_or_reaches_somebody(self, effect):
        effects = f"    effects: {{write_file: [read, {effect}]}}\n"
        assert self.told(effects) == [
            f"rule files.r allows 'write_file', which does {effect}, with whatever data"
        ]
        assert self.told(effects, ", flow: {intent: {verbs: [write]}}") == []
        assert self.told(effects, ", sandbox: box") == []

    def test_all_of_what_it_does_is_told_in_one_order(self):
        effects = "    effects: {write_file: [spend, persist, network-send, execute, escalate, delete, credential]}\n"
        assert self.told(effects) == [
            "rule files.r allows 'write_file', which does "
            "credential, delete, escalate, execute, network-send, persist, spend, with whatever data"
        ]

    def test_a_read_from_the_network(self):
        effects = "    effects: {write_file: [network-read]}\n"
        assert len(self.told(effects)) == 1
        assert self.told(effects, ", args: {path: {hosts: [docs.example]}}") == []

    def test_a_write_that_only_adds_is_none(self):
        assert self.told("    effects: {write_file: [write]}\n") == []

    def test_a_trusted_server_s_word_counts_and_its_warnings_always(self):
        known = {"files": (Tool("write_file", None, Annotations(read_only=True, open_world=False)),)}
        trusted = f"    trust_annotations: true\n    pin: {{write_file: {'a' * 64}}}\n"
        assert self.told(trusted, tools=known) == []
        only = ", when: {annotations: {readOnlyHint: true}}"
        assert self.told(trusted, only, tools=known) == []
        warned = Annotations(stated=frozenset({"destructiveHint"}))
        known = {"files": (Tool("write_file", None, warned),)}
        assert len(self.told("    effects: {write_file: [write]}\n", tools=known)) == 1

    def test_one_for_each_pattern_that_is_too_much(self):
        effects = '    effects: {"read_*|whoami": [read], write_file: [delete]}\n'
        text = HEAD + effects + RULES + rule('tools: ["read_*", "w*", write_file, "l*"]')
        assert [(one.code, one.column) for one in look(text)] == [
            ("no-flow", 50),
            ("no-flow", 56),
            ("no-flow", 68),
        ]


class TestUnknownArguments:
    def test_none_of_the_tools_has_it(self):
        (one,) = look(own(rule("tools: [read_file], args: {path: {under: [/srv/p]}, paht: {max_length: 9}}")))
        assert (one.code, one.column) == ("unknown-argument", 84)
        assert one.message == "read_file has no argument 'paht'"
        assert one.fix == "write one of head, path"

    def test_what_they_have_is_told_in_one_order(self):
        tools = {"files": tuple(Tool(name, frozenset("zyxwvutsr")) for name in ("read_file", "list_folder"))}
        (one,) = look(own(rule("tools: [read_file, list_folder], args: {path: {max_length: 9}}")), tools)
        assert one.message == "read_file, list_folder have no argument 'path'"
        assert one.fix == "write one of r, s, t, u, v, w, x, y and 1 more"

    def test_some_have_it(self):
        (one,) = look(own(rule('tools: ["*"], args: {path: {max_length: 9}}')))
        assert one.message == "whoami has no argument 'path'"
        assert one.fix == "give the others a rule of their own"
        assert look(own(rule('tools: ["*"], args: {path: {max_length: 9, optional: true}}'))) == []
        assert look(own(rule('tools: ["*"], flow: {control: {path: [prompt]}}'))) == []
        assert codes(rule('tools: ["*"], flow: {bounded: {path: {max_sum: 1}}}')) == ["unknown-argument"]

    def test_what_is_inside_of_an_argument_is_not_known(self):
        assert look(own(rule("tools: [read_file], args: {path.to.it: {max_length: 9}}"))) == []

    def test_in_flow(self):
        flow = "flow: {control: {paht: [prompt], '*': [prompt]}, bounded: {haed: {max_sum: 1}}}"
        found = told(own(rule(f"tools: [read_file, loose], {flow}")))
        assert [(code, path) for code, _, _, path in found] == [
            ("unknown-argument", "connectors.files.rules.0.flow.control.paht"),
            ("unknown-argument", "connectors.files.rules.0.flow.bounded.haed"),
        ]

    def test_an_unknown_schema_says_nothing(self):
        assert look(own(rule("tools: [loose], args: {x: {max_length: 9}}"))) == []


def test_trust_in_a_server_that_may_change():
    trusted = HEAD + "    trust_annotations: true\n" + READS
    assert told(trusted) == [("unpinned-trust", 4, 24, "connectors.files.trust_annotations")]
    assert told(trusted + f"    pin: {{read_file: {'a' * 64}}}\n") == []


class TestWide:
    @pytest.mark.parametrize(
        ("host", "wide"),
        [
            ("*.com", True),
            ("*.co.uk", True),
            ("*.com.au", True),
            ("*.net.au", True),
            ("*.org.uk", True),
            ("*.edu.au", True),
            ("*.gov.uk", True),
            ("*.ac.uk", True),
            ("*.github.io", True),
            ("*.workers.dev", True),
            ("*.corp.example", False),
            ("github.io", False),
            ("*.uk.example", False),
        ],
    )
    def test_hosts(self, host, wide):
        rules = rule(f'tools: [read_file], args: {{path: {{hosts: ["{host}"]}}}}')
        assert codes(rules) == (["wide-hosts"] if wide else [])
        boxed = (
            own(rule("tools: [read_file], sandbox: box"))
            + f"sandboxes: {{box: {{network: [{{host: '{host}'}}]}}}}\n"
        )
        assert [one.path for one in look(boxed)] == (["sandboxes.box.network.0.host"] if wide else [])

    def test_a_port_makes_no_hosts_narrower(self):
        rules = rule('tools: [read_file], args: {path: {hosts: ["*.github.io:8443"]}}')
        assert codes(rules) == ["wide-hosts"]

    @pytest.mark.parametrize("domain", sorted(ANYBODY_S_HOSTS))
    def test_every_open_hoster_is_found_however_it_is_written(self, domain):
        assert [code for code, *_ in wide({"hosts": [f"*.{domain.title()}"]})] == ["wide-hosts"]

    @pytest.mark.parametrize("domain", sorted(ANYBODY_S_MAIL))
    def test_every_open_mail_domain_is_found_however_it_is_written(self, domain):
        assert [code for code, *_ in wide({"recipients": [f"@{domain.title()}"]})] == ["wide-recipients"]

    def test_a_text_that_is_no_recipient_is_none(self):
        assert codes(rule('tools: [read_file], args: {path: {enum: ["@gmail.com"]}}')) == []

    def test_recipients(self):
        rules = rule(
            'tools: [read_file], args: {path: {recipients: ["@gmail.com", "a@gmail.com", "@corp.example"]}}'
        )
        (one,) = look(own(rules) + 'trusted_records: {people: ["@corp.example"]}\n')
        assert one.message == "anybody can have an address @gmail.com"
        records = (
            own(rule("tools: [read_file]")) + 'trusted_records: {people: ["@outlook.com", "@corp.example"]}\n'
        )
        assert told(records) == [("wide-recipients", 7, 28, "trusted_records.people.0")]

    def test_folders_and_patterns(self):
        assert codes(rule("tools: [read_file], args: {path: {under: [/]}}")) == ["wide-folder"]
        text = HEAD + '    match: {tools: ["*"]}\n' + READS + RULES + rule("tools: [read_file]")
        assert told(text) == [("wide-match", 4, 21, "connectors.files.match.tools.0")]


class TestStrict:
    def test_tools_of_which_no_rule_speaks(self):
        found = look(own(rule('tools: ["read_*"]'), rule('tools: ["l*"]', "l")), strict=True)
        assert [(one.code, one.line, one.message) for one in found] == [
            ("unspoken", 3, "no rule speaks of write_file, so it is always refused"),
            ("unspoken", 3, "no rule speaks of whoami, so it is always refused"),
        ]

    def test_what_nothing_uses(self):
        text = own(rule("tools: [read_file], sandbox: used")) + (
            "sandboxes: {used: {credentials: [key]}, idle: {}}\n"
            "credentials:\n  key: {env: A, hosts: [a.example]}\n  spare: {env: B, hosts: [a.example]}\n"
        )
        assert look(text, {}) == []
        assert told(text, {}, strict=True) == [
            ("unused", 7, 41, "sandboxes.idle"),
            ("unused", 10, 3, "credentials.spare"),
        ]


@pytest.mark.parametrize("name", shipped.names())
def test_a_template_s_rules_are_its_authors_business(name):
    given = {key: told["sample"] for key, told in shipped.parameters(name).items()}
    data = {
        "version": 1,
        "connectors": {"files": {"template": name, "with": given}},
        "sandboxes": {"build": {}},
    }
    text = json.dumps(data)
    assert lint(policy(text), read(text), TOOLS) == []


def test_the_lists_of_real_servers_can_be_looked_at():
    """Whatever they hold, a policy for one is looked through without a fault."""
    for file in sorted(Path(__file__).with_name("tool_lists").glob("*.json")):
        listed = json.loads(file.read_text())["tools"]
        known = {
            "files": tuple(Tool(t["name"], frozenset(t["inputSchema"].get("properties", ()))) for t in listed)
        }
        text = own(*(rule(f"tools: ['{t['name']}']", f"r{i}") for i, t in enumerate(listed)))
        assert look(text, known, strict=True) == [], file
