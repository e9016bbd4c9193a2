"""The shipped templates: well-formed, safe without being told anything, and held against real servers."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.core.policies import policy

from blastwall.frozen import freeze
from blastwall.paths import resolve
from blastwall.policy import shipped
from blastwall.policy.containment import SandboxBlock
from blastwall.policy.examples import staged
from blastwall.policy.flows import SOURCES
from blastwall.policy.rules import covered
from blastwall.policy.scopes import ExampleBlock
from blastwall.policy.standing import Standing
from blastwall.provenance import Memory
from blastwall.values import WORST_CASE, Allow, Ask, Confidentiality, Deny, Does, Label, Sandbox, ToolCall

HERE = Path(__file__).parent
LISTS = {file.stem: json.loads(file.read_text()) for file in sorted((HERE / "tool_lists").glob("*.json"))}
SESSIONS = yaml.safe_load((HERE / "template_sessions.yaml").read_text())
CALLS = yaml.safe_load((HERE / "template_calls.yaml").read_text())
DOCUMENT = HERE.parents[2] / "docs" / "templates.md"
NAMES = shipped.names()
PARTS = {"about", "servers", "parameters", "define", "effects", "outputs", "rules"}

HARMLESS = {
    "browser_close": "closes a page",
    "close_page": "closes a page",
    "browser_resize": "changes the size of a window",
    "resize_page": "changes the size of a window",
    "browser_emulate_media": "changes how a page looks",
    "browser_hover": "moves the pointer",
    "puppeteer_hover": "moves the pointer",
    "hover": "moves the pointer",
    "browser_mouse_wheel": "scrolls",
    "browser_navigate_back": "goes where the browser was before",
    "previous_webpage": "goes where the browser was before",
    "draft_email": "nobody gets a draft",
    "draft_gmail_message": "nobody gets a draft",
    "save_draft": "nobody gets a draft",
    "create_gmail_draft": "nobody gets a draft",
    "get_gmail_attachment_content": "keeps the attachment in a folder of its own",
    "get_emails_content": "marks what it reads as read, if told to",
    "git_clear_working_dir": "makes the server forget a folder",
    "stop_search": "ends a search of its own",
}
"""What changes something and may still be done unasked, and why."""

USUAL = {
    "mail": {
        "limited": "send_email reply_to_email forward_email mark_as_read archive_email delete_email move_email",
        "allowed": "get_unread_emails list_emails search_emails read_email search_contacts get_attachment",
        "asked": "send_draft empty_trash bulk_delete_emails set_vacation_reply download_attachment",
        "denied": "add_forwarding_address add_delegate change_password update_account",
    },
    "calendar": {
        "limited": "create_event create_calendar_event update_event update_calendar_event cancel_event delete_event"
        " reschedule_event reschedule_calendar_event add_attendees add_calendar_event_participants respond_to_event"
        " cancel_calendar_event add_calendar_event",
        "allowed": "get_events list_calendars search_events get_day_events check_availability",
        "asked": "create_calendar delete_calendar delete_all_events clear_calendar remove_attendee quick_add",
        "denied": "share_calendar set_permissions update_acl",
    },
    "drive": {
        "limited": "create_file create_document append_to_file update_file share_file delete_file rename_file",
        "allowed": "list_files search_files get_file_by_id read_file",
        "asked": "upload_file empty_trash delete_folder publish_file update_permission",
        "denied": "transfer_ownership create_webhook",
    },
    "chat": {
        "limited": "send_message send_direct_message send_channel_message post_message reply_to_message"
        " add_reaction add_user_to_channel",
        "allowed": "get_channels list_users read_messages get_users_in_channel search_messages",
        "asked": "create_channel delete_message kick_user invite_user_to_workspace remove_user_from_channel",
        "denied": "create_webhook set_permissions promote_user",
    },
    "bank": {
        "limited": "transfer pay_bill send_money make_payment schedule_payment update_scheduled_payment cancel_payment",
        "allowed": "get_balance list_transactions get_iban search_transactions list_scheduled_payments",
        "asked": "add_payee update_user_profile delete_account close_account get_card_details",
        "denied": "change_password set_card_pin raise_limit create_api_key",
    },
    "travel": {
        "limited": "book_hotel reserve_restaurant reserve_table book_flight cancel_booking",
        "allowed": "search_hotels get_flights list_restaurants get_reviews check_availability get_user_profile",
        "asked": "pay_invoice confirm_order update_booking write_review get_passport_number",
        "denied": "change_password add_credit_card",
    },
    "fetch": {
        "limited": "fetch fetch_url get_webpage read_url browse_website web_search",
        "asked": "post_webpage http_post crawl_site download_file",
    },
    "shell": {"limited": "bash terminal run_command execute_command", "asked": "kill_process start_process"},
    "memory": {
        "limited": "store_memory save_note remember forget",
        "allowed": "recall list_memories retrieve_memory",
    },
}
"""What servers that are not recorded usually call their tools, and how each must be treated."""


def sample(name):
    return {key: block["sample"] for key, block in shipped.parameters(name).items()}


def required(name):
    return {key: block["sample"] for key, block in shipped.parameters(name).items() if block.get("required")}


def compiled(name, given):
    content = {
        "version": 1,
        "connectors": {name: {"template": name, "with": given}},
        "sandboxes": {"build": {"workspace": "."}},
    }
    return policy(content)


POLICIES = {name: compiled(name, sample(name)) for name in NAMES}
BARE = {name: compiled(name, required(name)) for name in NAMES}


def raw(name):
    return yaml.safe_load(shipped.text(name))


def connector(name):
    return POLICIES[name].connectors[name]


def treatment(connector, tool):
    """Say what happens to a tool: `allowed` unasked, `limited` to what holds, `asked`, `denied` or `unknown`."""
    rules = connector.candidates(tool, WORST_CASE)
    for effect, said in ((Standing.DENY, "denied"), (Standing.ASK, "asked")):
        if any(rule.effect is effect and rule.unconditional and not rule.profile for rule in rules):
            return said
    allowing = [rule for rule in rules if rule.effect is Standing.ALLOW]
    if not allowing:
        return "unknown"
    return "allowed" if any(map(plain, allowing)) else "limited"


def plain(rule):
    return not rule.flow and not rule.profile and all(check.optional for check in rule.checks)


def words(value):
    """Give every `$name` in a template."""
    if isinstance(value, dict):
        return {word for item in value.values() for word in words(item)}
    if isinstance(value, list):
        return {word for item in value for word in words(item)}
    return {value[1:]} if isinstance(value, str) and re.fullmatch(r"\$[a-z_]+", value) else set()


# -- Their form


def test_the_templates_are_those_that_the_plan_names():
    assert set(NAMES) == {
        *("bank", "browser", "calendar", "chat", "drive", "fetch", "filesystem", "git", "github", "mail"),
        *("memory", "postgres", "shell", "slack", "sqlite", "travel"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_template_has_the_parts_of_one(name):
    template = raw(name)
    assert set(template) <= PARTS
    assert "\n" not in shipped.about(name)
    assert shipped.about(name) == template["about"]


@pytest.mark.parametrize("name", NAMES)
def test_every_word_of_a_template_is_defined_and_used(name):
    template = raw(name)
    known = {*template.get("define", {}), *template.get("parameters", {})}
    assert len(known) == len(template.get("define", {})) + len(template.get("parameters", {}))
    assert words([template["rules"], template["effects"], template["outputs"]]) == known


@pytest.mark.parametrize("name", NAMES)
def test_what_denies_needs_not_be_told_anything(name):
    template = raw(name)
    optional = {key for key, block in template.get("parameters", {}).items() if not block.get("required")}
    for rule in template["rules"]:
        assert rule["effect"] != "deny" or not words(rule) & optional, rule["id"]


@pytest.mark.parametrize("name", NAMES)
def test_what_allows_shows_what_it_allows(name):
    for rule in raw(name)["rules"]:
        if rule["effect"] == "allow" and rule["id"] not in UNSHOWN:
            assert rule["examples"]["match"], rule["id"]


UNSHOWN = {"run", "files", "file-lists"}
"""Rules whose examples would need a sandbox or are shown by `template_calls.yaml`."""


@pytest.mark.parametrize("name", NAMES)
def test_what_denies_says_what_to_do_instead(name):
    for rule in raw(name)["rules"]:
        assert rule["effect"] != "deny" or rule["instead"], rule["id"]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_only_allowed_within_limits_asks_beyond_them(name):
    """A refusal where a question was possible makes people take the template out."""
    for rule in raw(name)["rules"]:
        if rule["effect"] == "allow" and "flow" in rule and rule["id"] not in ASIDE:
            assert rule["otherwise"] == "ask", rule["id"]


ASIDE = {"read-path"}
"""Rules beside another one for the same tools, which may hold where these don't."""


@pytest.mark.parametrize("name", NAMES)
def test_every_tool_of_a_rule_has_its_effects_described(name):
    effects = connector(name).effect_of
    for rule in connector(name).rules:
        for pattern in rule.tools:
            tool = pattern.replace("*", "").strip("_-") if pattern != "*" else None
            assert (
                tool is None
                or any(covered(tool, globs) for globs, _ in effects)
                or any(covered(pattern.replace("*", "x"), globs) for globs, _ in effects)
            ), (rule.id, pattern)


def test_the_servers_that_a_template_names_are_those_it_is_tested_against():
    named = {
        (name, registry, server)
        for name in NAMES
        for registry, servers in (raw(name).get("servers") or {}).items()
        for server in servers
        if registry != "documented"
    }
    recorded = {
        (one["template"], one["registry"], f"{one['server']} {one['version']}")
        for one in LISTS.values()
        if one["registry"] != "documented"
    }
    assert named == recorded


def test_every_record_says_where_it_comes_from():
    for stem, one in LISTS.items():
        assert set(one) == {"server", "registry", "version", "licence", "template", "tools"}, stem
        assert one["tools"], stem


# -- Putting a policy's words in


def test_an_unknown_template_is_named_with_the_nearest_one():
    with pytest.raises(ValueError, match=r"^no template 'githib'; did you mean 'github'\?$"):
        shipped.expand("githib", {})
    with pytest.raises(ValueError, match=r"^no template 'x' \(there are bank, "):
        shipped.about("x")


def test_a_missing_parameter_is_named_with_what_it_is_for_and_how_it_is_written():
    said = (
        "template 'filesystem' needs to be told 'roots': the folders that may be read."
        " Write `with: {roots: [/srv/project]}`"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        shipped.expand("filesystem", {})


def test_an_unknown_parameter_is_named_with_the_nearest_one():
    with pytest.raises(
        ValueError, match=r"^template 'github' has no parameter 'owner'; did you mean 'owners'\?$"
    ):
        shipped.expand("github", {"owner": ["acme"]})
    with pytest.raises(ValueError, match=r"^template 'git' has no parameter 'x' \(there are roots\)$"):
        shipped.expand("git", {"x": ["/"]})
    with pytest.raises(ValueError, match=r"^template 'mail' has no parameter 'roots' \(there are none\)$"):
        shipped.expand("mail", {"roots": ["/"]})


@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [
        ("filesystem", {"roots": "/srv"}, "a list of folders"),
        ("filesystem", {"roots": []}, "a list of folders"),
        ("filesystem", {"roots": [""]}, "a list of folders"),
        ("filesystem", {"roots": [3]}, "a list of folders"),
        ("github", {"owners": {"acme": 1}}, "a list of texts"),
        ("github", {"branches": ["x"]}, "one text"),
        ("github", {"branches": ""}, "one text"),
        ("bank", {"limit": 0}, "a number above 0"),
        ("bank", {"limit": True}, "a number above 0"),
        ("bank", {"limit": "500"}, "a number above 0"),
        ("bank", {"limit": None}, "a number above 0"),
    ],
)
def test_a_parameter_of_the_wrong_kind_is_refused(name, given, wanted):
    with pytest.raises(ValueError, match=f"of template '{name}' must be {wanted}: "):
        shipped.expand(name, given)


def test_a_whole_value_becomes_what_was_given():
    rules = {rule["id"]: rule for rule in shipped.expand("filesystem", {"roots": ["/a", "/b"]})["rules"]}
    assert rules["read"]["args"]["path"] == {"under": ["/a", "/b"]}


def test_a_member_of_a_list_becomes_its_members():
    rules = {rule["id"]: rule for rule in shipped.expand("git", {"roots": ["/a"]})["rules"]}
    assert {"repo_path", "path"} < set(rules["fetch"]["flow"]["content"]["args"])
    effects = shipped.expand("shell", {})["effects"]
    assert next(set(does) for globs, does in effects.items() if "shell_execute" in globs) == set(
        map(str, Does)
    )


def test_a_rule_that_was_not_told_enough_says_what_it_says_otherwise():
    rules = {rule["id"]: rule for rule in shipped.expand("shell", {})["rules"]}
    assert rules["run"] == {"id": "run", "effect": "ask", "tools": raw("shell")["define"]["running"]}


def test_a_rule_that_was_not_told_enough_and_says_nothing_otherwise_is_left_out(monkeypatch):
    template = {
        "about": "a test",
        "parameters": {"hosts": {"type": "texts", "about": "x", "sample": ["a"]}},
        "effects": {},
        "outputs": {},
        "rules": [
            {"id": "a", "effect": "allow", "tools": ["*"], "args": {"url": {"hosts": "$hosts"}}},
            {"id": "b", "effect": "allow", "tools": ["b"], "args": {"url": {"hosts": ["c", "$hosts"]}}},
            {
                "id": "c",
                "effect": "allow",
                "tools": ["$hosts"],
                "otherwise": "deny",
                "instead": "wait",
                "x": "$hosts",
            },
        ],
    }
    monkeypatch.setattr(shipped, "_template", lambda _: template)
    bare = {rule["id"]: rule for rule in shipped.expand("t", {})["rules"]}
    assert bare == {
        "b": {"id": "b", "effect": "allow", "tools": ["b"], "args": {"url": {"hosts": ["c"]}}},
        "c": {"id": "c", "effect": "deny", "tools": [], "instead": "wait"},
    }
    told = {rule["id"]: rule for rule in shipped.expand("t", {"hosts": ["d", "e"]})["rules"]}
    assert told["a"]["args"] == {"url": {"hosts": ["d", "e"]}}
    assert told["b"]["args"] == {"url": {"hosts": ["c", "d", "e"]}}


def test_examples_are_kept_while_they_speak_of_what_was_given():
    """They were written for the sample values; with others `under: [/home/me]` would fail a user's policy."""
    kept = shipped.expand("filesystem", sample("filesystem"))["rules"]
    assert sum("examples" in rule for rule in kept) > 10
    other = {rule["id"]: rule for rule in shipped.expand("filesystem", {"roots": ["/home/me"]})["rules"]}
    assert "examples" not in other["read"]
    assert "examples" in other["secrets"]


def test_what_is_expanded_may_be_changed_without_changing_the_template():
    first = shipped.expand("mail", {})
    first["rules"][0]["tools"].clear()
    first["effects"].clear()
    shipped.parameters("github").clear()
    assert shipped.expand("mail", {})["rules"][0]["tools"]
    assert shipped.expand("mail", {})["effects"]
    assert shipped.parameters("github")


# -- Profiles


def test_the_shipped_profiles():
    assert list(shipped.profiles()) == ["scratch", "project", "packages", "server"]
    for name, about in shipped.profiles().items():
        block = SandboxBlock.model_validate(shipped.profile(name))
        assert about
        assert block.credentials == []
        assert all(set(place.methods) == {"GET", "HEAD"} for place in block.network)
        assert all(place.upload_kb <= 256 for place in block.network)


def test_the_profiles_can_be_read_as_they_are_written():
    assert yaml.safe_load(shipped.text("profiles"))["scratch"]["about"] == shipped.profiles()["scratch"]


def test_scratch_and_project_reach_nothing():
    for name in ("scratch", "project"):
        assert "network" not in shipped.profile(name)
    assert "workspace" not in shipped.profile("scratch")
    assert "workspace" not in shipped.profile("server")


def test_an_unknown_profile_is_named_with_the_nearest_one():
    with pytest.raises(ValueError, match=r"^no profile 'package'; did you mean 'packages'\?$"):
        shipped.profile("package")


# -- What they say of real servers


@pytest.mark.parametrize("stem", LISTS)
def test_every_tool_of_a_real_server_has_a_rule_and_its_effects(stem):
    found = LISTS[stem]
    known = connector(found["template"])
    for tool in found["tools"]:
        assert known.candidates(tool["name"], WORST_CASE), tool["name"]
        assert treatment(known, tool["name"]) != "unknown", tool["name"]
        assert any(covered(tool["name"], globs) for globs, _ in known.effect_of), tool["name"]


OUTWARD = re.compile(
    r"(?:^|[_-])(?:send|post|reply|forward|schedule|share|invite|publish|upload|push|merge|create|update|write|edit"
    r"|modify|delete|remove|cancel|clear|drop|move|rename|pay|transfer|book|reserve|buy|execute|run|start|kill"
    r"|terminate|navigate|click|fill|type|press|drag|evaluate|install|set|add|join|leave|commit|checkout|reset|clean"
    r"|rebase|clone|fetch|pull|terminal|shell|requests)(?:$|[_-])"
)
LOOKING = re.compile(
    r"(?:slack_|browser_)?(?:get|list|search|read|find|check)[_-](?!or[_-])|pull_request_read"
)


@pytest.mark.parametrize("stem", LISTS)
def test_what_destroys_or_reaches_out_is_never_plainly_allowed(stem):
    found = LISTS[stem]
    known = connector(found["template"])
    for tool in found["tools"]:
        hints = tool.get("annotations", {})
        stated = "readOnlyHint" in hints or "destructiveHint" in hints
        named = OUTWARD.search(tool["name"]) and not LOOKING.match(tool["name"])
        if (named or (stated and not hints.get("readOnlyHint"))) and tool["name"] not in HARMLESS:
            assert treatment(known, tool["name"]) != "allowed", tool["name"]


@pytest.mark.parametrize("stem", LISTS)
def test_the_effects_of_what_acts_are_more_than_reading(stem):
    found = LISTS[stem]
    known = connector(found["template"])
    for tool in found["tools"]:
        does = known.does(tool["name"], WORST_CASE)
        if treatment(known, tool["name"]) in ("asked", "denied") and tool["name"] not in LOOKED_AT:
            assert not does <= {Does.READ, Does.NETWORK_READ}, tool["name"]


LOOKED_AT = {
    *("get_config", "get_recent_tool_calls"),  # what the agent or another one was given
    *("get_secret_scanning_alert", "list_secret_scanning_alerts"),
    *("browser_network_request", "browser_network_requests", "get_network_request", "list_network_requests"),
    *("lighthouse_audit", "download_workflow_run_artifact"),
}
"""What is asked for although it only reads: what it reads is secret."""


@pytest.mark.parametrize(
    ("name", "said", "tool"),
    [
        (name, said, tool)
        for name, kinds in USUAL.items()
        for said, tools in kinds.items()
        for tool in tools.split()
    ],
)
def test_what_other_servers_usually_call_their_tools(name, said, tool):
    assert treatment(connector(name), tool) == said
    assert any(covered(tool, globs) for globs, _ in connector(name).effect_of)


@pytest.mark.parametrize("stem", LISTS)
def test_with_nothing_told_no_more_is_allowed(stem):
    order = ["denied", "asked", "limited", "allowed"]
    found = LISTS[stem]
    for tool in found["tools"]:
        bare = treatment(BARE[found["template"]].connectors[found["template"]], tool["name"])
        told = treatment(connector(found["template"]), tool["name"])
        assert order.index(bare) <= order.index(told), tool["name"]


# -- Who may steer what


def destroying(rule, known):
    lasting = {Does.DELETE, Does.SPEND, Does.ESCALATE, Does.CREDENTIAL}
    return any(lasting & known.does(tool.replace("*", "x"), WORST_CASE) for tool in rule.tools)


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_taken_back_is_chosen_by_the_user(name):
    """`typed` and `unmentioned` would let an outsider's own id or address in, if the agent is talked into it."""
    known = connector(name)
    for rule in known.rules:
        if rule.effect is not Standing.ALLOW or not rule.flow or not destroying(rule, known):
            continue
        for control in rule.flow.controls:
            if control.path not in WHICH:
                assert control.sources <= {"prompt", "bound"}, (rule.id, control.path)


WHICH = {("calendarId",), ("calendar_id",), ("id",), ("payment_id",), ("transaction_id",), ("order_id",)}
"""Which of the user's own calendars or orders: the rest of the call is still the user's."""


OUTSIDERS = {"mail": {"mail.sort"}, "calendar": set(), "drive": set(), "travel": set()}
"""Where `*` may be what no text mentions: rules that nothing goes out by."""


@pytest.mark.parametrize("name", OUTSIDERS)
def test_nobody_is_written_to_because_he_wrote(name):
    """A sender's or guest's address is typed, and no text need mention it for an agent to be steered there."""
    for rule in connector(name).rules:
        for control in rule.flow.controls if rule.flow and rule.effect is Standing.ALLOW else ():
            if control.path == ("*",) and rule.id not in OUTSIDERS[name]:
                assert control.sources <= {"prompt", "bound"}, rule.id


def test_who_is_paid_is_never_chosen_by_who_has_paid():
    for rule in connector("bank").rules:
        for control in rule.flow.controls if rule.flow and rule.id != "bank.cancel" else ():
            if control.path == ("*",):
                assert control.sources == {"prompt"}


@pytest.mark.parametrize("name", ["mail", "calendar", "drive", "chat", "slack", "bank", "fetch", "travel"])
def test_whatever_a_server_calls_its_arguments_they_are_looked_at(name):
    for rule in connector(name).rules:
        if rule.effect is Standing.ALLOW and rule.flow and rule.flow.controls:
            assert ("*",) in {control.path for control in rule.flow.controls}, rule.id


@pytest.mark.parametrize("name", NAMES)
def test_no_field_that_an_outsider_writes_is_typed(name):
    for entry in raw(name)["outputs"].values():
        assert entry["integrity"] == "external"
        for key, label in entry.get("fields", {}).items():
            fields = set(re.split(r"[.|]", key))
            typed = label not in ("external", "internal") and label != {"confidentiality": "secret"}
            assert not (typed and fields & PROSE), key


PROSE = set(
    "subject body text content message description summary_text comment notes snippet html reason".split()
)


@pytest.mark.parametrize("name", ["postgres", "sqlite", "fetch", "browser", "shell", "memory"])
def test_what_an_outsider_can_shape_as_a_whole_has_no_typed_field(name):
    """A query can alias a column, a page or a file can be the very JSON of an answer."""
    assert all("fields" not in entry for entry in raw(name)["outputs"].values())


def test_secrets_are_labelled_so():
    for name, tool in (("bank", "get_card_details"), ("github", "list_secret_scanning_alerts")):
        default = connector(name).labels(tool).default
        assert default.confidentiality is Confidentiality.SECRET
    assert connector("fetch").labels("fetch").default.confidentiality is Confidentiality.PUBLIC
    assert connector("mail").labels("read_email").default.confidentiality is Confidentiality.PRIVATE


# -- Whole calls


@pytest.mark.parametrize("case", CALLS, ids=lambda case: f"{case['template']}-{case['tool']}-{case['is']}")
def test_calls(case):
    call = ToolCall.of(case["template"], case["tool"], case["args"])
    held = POLICIES[case["template"]]
    unseen = dict.fromkeys(case["args"], "nowhere") | case.get("from", {})
    heard = {"prompt": case["prompt"]} if "prompt" in case else {}
    context = staged(call, ExampleBlock(tool=call.tool, args=case["args"], **{"from": unseen}, **heard))
    context = replace(
        context, traced=tuple(private(leaf, case.get("private", ())) for leaf in context.traced)
    )
    resolved = {path: resolve(path, None) for path in held.paths(call)}
    verdict = held.decide(call, resolved, context)
    assert isinstance(verdict, KINDS[case["is"]]), verdict


def private(leaf, names):
    if leaf.path[0] not in names:
        return leaf
    origins = tuple(replace(o, label=Label(o.label.integrity, Confidentiality.PRIVATE)) for o in leaf.whole)
    if not origins:
        seen = staged(
            ToolCall.of("a", "b", {"c": "d"}), ExampleBlock(tool="b", **{"from": {"c": "external"}})
        )
        origins = private(replace(seen.traced[0], path=leaf.path), names).parts
    return replace(leaf, parts=origins)


KINDS = {"allow": Allow, "ask": Ask, "deny": Deny, "sandbox": Sandbox}


@pytest.mark.parametrize("story", SESSIONS)
def test_sessions(story):
    memory = Memory()
    for step in SESSIONS[story]:
        if "prompt" in step:
            memory.begin(step["prompt"])
            continue
        name, _, tool = step["tool"].partition(".")
        held, call = POLICIES[name], ToolCall.of(name, tool, step["args"])
        resolved = {path: resolve(path, None) for path in held.paths(call)}
        verdict = held.decide(call, resolved, memory.recall(call.arguments))
        assert isinstance(verdict, KINDS[step["expect"]]), (step["tool"], step["args"], verdict)
        if "output" in step:
            memory.remember(step["tool"], freeze(step["output"]), held.connectors[name].labels(tool))


def test_every_template_has_calls_that_it_allows_and_calls_that_it_does_not():
    for name in NAMES:
        said = {case["is"] for case in CALLS if case["template"] == name}
        assert said & {"allow", "sandbox"}, name
        assert said & {"ask", "deny"}, name


def test_the_sources_of_a_template_are_known_or_records():
    """A record that a policy does not fill is empty: `people`, `payees`, `channels`, `sites`, and `nobody`."""
    used = {
        source
        for name in NAMES
        for rule in raw(name)["rules"]
        for sources in rule.get("flow", {}).get("control", {}).values()
        for source in sources
    }
    assert used - set(SOURCES) == {"people", "payees", "channels", "sites", "nobody"}


# -- The page


def table():
    lines = [
        "| server | template | tools | unasked | within limits | asked | never |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for one in sorted(LISTS.values(), key=lambda one: (one["template"], one["server"], one["version"])):
        said = [treatment(connector(one["template"]), tool["name"]) for tool in one["tools"]]
        counts = " | ".join(str(said.count(kind)) for kind in ("allowed", "limited", "asked", "denied"))
        lines.append(f"| {one['server']} {one['version']} | {one['template']} | {len(said)} | {counts} |")
    return "\n".join(lines)


def test_the_page_shows_how_each_server_is_treated():
    assert table() in DOCUMENT.read_text(), f"docs/templates.md should hold:\n{table()}"


def test_the_page_speaks_of_every_template_parameter_and_profile():
    page = DOCUMENT.read_text()
    for name in NAMES:
        assert f"| `{name}` | {shipped.about(name)} |" in page
        for key in shipped.parameters(name):
            assert f"`{key}`" in page
    for name, about in shipped.profiles().items():
        assert f"| `{name}` | {about} |" in page
