"""A tool's name in its users' words: how names are split, and what the lists say."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall.provenance.english import nouns
from blastwall.provenance.english.verbs import CLASSES, Kind
from blastwall.provenance.words import kinds_of, objects_of, split, tool_verbs, verbs_of


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("deleteFile", ["delete", "file"]),
        ("send-mail", ["send", "mail"]),
        ("gh_pr_merge", ["gh", "pr", "merge"]),
        ("API-post-page", ["api", "post", "page"]),
        ("mail.send", ["mail", "send"]),
        ("getURLContents", ["get", "url", "contents"]),
        ("HTTPGet", ["http", "get"]),
        ("mcp__github__create_issue", ["mcp", "github", "create", "issue"]),
        ("v2/users:delete", ["v", "users", "delete"]),
        ("delete2", ["delete"]),
        ("2", []),
        ("", []),
        ("A", ["a"]),
        ("aB", ["a", "b"]),
    ],
)
def test_names_are_split_as_people_write_them(name, words):
    assert list(split(name)) == words


@pytest.mark.parametrize(
    ("name", "verb"),
    [
        ("delete_file", "delete"),
        ("file_delete", "delete"),
        ("gh_pr_merge", "merge"),
        ("email_reply", "email"),
        ("message_send", "send"),
        ("post_message", "post"),
        ("update_post", "update"),
        ("slack_post_message", "post"),
        ("search_emails", "search"),
        ("get_unread_emails", "get"),
        ("turn_off_light", "turn off"),
        ("logIn", "log in"),
        ("send_money", "pay"),
        ("frobnicate_widget", "frobnicate"),
        ("weather", "weather"),
        ("cloud_scale_deployment", "scale"),
        ("shop_return_item", "return"),
        ("bring_issue", "bring"),
        ("issue_bring", "bring"),
    ],
)
def test_the_verb_of_a_name(name, verb):
    assert verbs_of(name)[0] == verb


def test_a_name_may_have_several_verbs():
    assert {"create", "update", "edit", "write"} <= set(verbs_of("create_or_update_file"))
    assert tool_verbs(("create", "and", "send", "email")) == ("create", "send")
    assert tool_verbs(("make", "payment")) == ("make", "pay")
    assert "reserve" in verbs_of("make_booking")


@pytest.mark.parametrize(
    ("name", "has", "lacks"),
    [
        ("send_email", "tell", "delete"),
        ("create_calendar_event", "schedule", "cancel"),
        ("delete_event", "cancel", "schedule"),
        ("update_event", "reschedule", "cancel"),
        ("lock_door", "lock", "unlock"),
        ("unlock_door", "open", "close"),
        ("turn_on_light", "switch on", "turn off"),
        ("turn_off_light", "switch off", "turn on"),
        ("grant_access", "give access", "revoke"),
        ("revoke_access", "take away", "grant"),
        ("create_file", "save", "delete"),
        ("git_push", "publish", "pull"),
        ("read_file", "show", "write"),
    ],
)
def test_users_ask_for_a_tool_in_their_own_words(name, has, lacks):
    assert has in verbs_of(name)
    assert lacks not in verbs_of(name)


OPPOSITES = [
    ("lock", "unlock"),
    ("archive", "unarchive"),
    ("subscribe", "unsubscribe"),
    ("turn on", "turn off"),
    ("enable", "disable"),
    ("grant", "revoke"),
    ("approve", "reject"),
    ("create", "delete"),
    ("install", "uninstall"),
    ("mark", "unmark"),
    ("connect", "disconnect"),
    ("ban", "unban"),
    ("schedule", "cancel"),
    ("start", "stop"),
    ("log in", "log out"),
    ("open", "close"),
]


@pytest.mark.parametrize(("one", "other"), OPPOSITES)
def test_opposites_share_no_row(one, other):
    assert not [row.name for row in CLASSES if one in row.verbs and other in row.verbs]


def test_no_reading_verb_asks_for_an_effect_by_its_tool_name():
    """A tool that is named after reading is asked for by words of reading only."""
    reading = next(row for row in CLASSES if row.kind is Kind.READ)
    others = {verb for row in CLASSES if row.kind is not Kind.READ for verb in row.tools}
    assert set(reading.tools) & others == set()


@pytest.mark.parametrize(
    ("name", "nouns"),
    [
        ("delete_email", {"email", "mail", "message"}),
        ("deleteFiles", {"files", "document", "note"}),
        ("create_event", {"meeting", "appointment"}),
        ("send_money", {"payment", "transfer", "transaction"}),
        ("frobnicate_widget", {"widget"}),
        ("add_user_to_channel", {"person", "channel"}),
    ],
)
def test_the_nouns_of_a_name(name, nouns):
    assert nouns <= set(objects_of(name))


def test_of_unknown_words_behind_the_verb_the_last_is_its_object():
    assert objects_of("acme_frobnicate_blue_widget") == ("widget",)


@pytest.mark.parametrize("name", ["send", "git_push", "", "2", "weather", "send_or", "pay_acme"])
def test_a_name_without_a_noun_is_about_anything(name):
    assert objects_of(name) == ()


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("get_weather", {Kind.READ}),
        ("delete_file", {Kind.DESTRUCTIVE}),
        ("send_email", {Kind.OUTWARD}),
        ("send_money", {Kind.SPEND}),
        ("run_command", {Kind.EXECUTE}),
        ("update_record", {Kind.WRITE}),
        ("frobnicate", set()),
    ],
)
def test_the_kind_of_effect(name, kinds):
    assert kinds_of(name) == kinds


def test_the_lists_are_in_order():
    assert len({row.name for row in CLASSES}) == len(CLASSES)
    for row in CLASSES:
        assert row.tools
        assert set(row.tools) <= set(row.verbs)
        assert all(verb == verb.strip().lower() and verb for verb in row.verbs)
    for one, other in combinations(nouns.CLASSES, 2):
        assert one.nouns != other.nouns
    assert all(noun and noun.islower() for row in nouns.CLASSES for noun in row.nouns)


@given(st.text(max_size=400))
def test_any_name_has_its_words(name):
    assert all(verb for verb in verbs_of(name))
    assert all(noun for noun in objects_of(name))
    assert all(word for word in split(name))
    assert verbs_of(name) == verbs_of(name[:256])


def test_words_that_fit_everything_ask_for_nothing_that_leaves_or_is_lost():
    weighty = {Kind.OUTWARD, Kind.SPEND, Kind.DESTRUCTIVE}
    verbs = {verb for row in CLASSES if row.kind in weighty for verb in row.verbs}
    assert (
        verbs
        & {"do", "make", "get", "give", "put", "take", "write", "use", "go", "say", "let", "have", "try"}
        == set()
    )
