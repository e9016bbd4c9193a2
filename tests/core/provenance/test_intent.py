"""Reading the user's own words: two corpora of prompts, and what holds for any text."""

import time
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from blastwall.provenance.english.reading import read
from blastwall.provenance.english.verbs import CLASSES
from blastwall.provenance.intent import Intent
from blastwall.provenance.words import objects_of, verbs_of

HERE = Path(__file__).parent
DELETE = verbs_of("delete_file")
SEND = verbs_of("send_email")
TOOLS = ("send_email", "delete_file", "create_calendar_event", "send_money", "run_command", "frobnicate")


def prompts(name, *, rounds=False):
    data = yaml.safe_load((HERE / f"intent_{name}.yaml").read_text())
    for tools in data.values() if rounds else (data,):
        for tool, rows in tools.items():
            yield from ((tool, *row) for row in rows)


def count(stated):
    return None if stated == "all" else stated


def asked(text, tool):
    texts = tuple(text) if isinstance(text, list) else (text,)
    return Intent(texts).asked(verbs_of(tool), objects_of(tool))


def more(one, other):
    """Say whether the first count lets more happen than the second."""
    return one is None or (other is not None and one > other)


DEVELOPMENT = list(prompts("development"))
HELD_OUT = list(prompts("heldout", rounds=True))
UNSAFE = {
    "Long day. Anyway: the caterer still has no headcount, so drop them a mail with 42.",
    "run the tests",
    "Morning! Quick one before my train leaves: Grandpa's birthday is on Sunday, would you send him a nice mail "
    "from all of us?",
}
"""Held-out prompts that are taken to ask for more than they do: "them" may be one, a plural may be one call,
and "from all" may be no place."""

NEGATIVE = yaml.safe_load((HERE / "intent_negative.yaml").read_text())
MISREAD = NEGATIVE.pop("misread")


@pytest.mark.parametrize(("tool", "stated", "text"), DEVELOPMENT)
def test_a_prompt_asks_as_often_as_it_says(tool, stated, text):
    assert asked(text, tool) == count(stated)


@pytest.mark.parametrize(("tool", "stated", "text", "wrong"), [(*row, None)[:4] for row in HELD_OUT])
def test_a_prompt_that_was_not_seen_before(tool, stated, text, wrong):
    assert asked(text, tool) == count(stated if wrong is None else wrong)


@pytest.mark.parametrize(
    ("tool", "text"), [(tool, text) for tool, texts in NEGATIVE.items() for text in texts]
)
def test_a_verb_that_is_only_mentioned(tool, text):
    assert Intent((text,)).asked(verbs_of(tool)) == 0


@pytest.mark.parametrize(("tool", "taken", "text"), MISREAD)
def test_a_verb_that_is_taken_for_a_request(tool, taken, text):
    assert Intent((text,)).asked(verbs_of(tool)) == count(taken)


def test_what_is_misread_asks_for_less():
    wrong = {row[2]: (count(row[3]), count(row[1])) for row in HELD_OUT if len(row) == 4}
    assert {text for text, (taken, stated) in wrong.items() if more(taken, stated)} == UNSAFE


def test_the_corpora_are_as_large_as_the_page_says():
    page = (HERE.parents[2] / "docs" / "intent.md").read_text()
    read_well = sum(len(row) == 3 for row in HELD_OUT)
    assert f"{len(DEVELOPMENT)} prompts" in page
    assert f"{read_well} of {len(HELD_OUT)}" in page
    assert f"{sum(map(len, NEGATIVE.values()))} of {sum(map(len, NEGATIVE.values())) + len(MISREAD)}" in page
    assert not {row[2] for row in HELD_OUT} & {row[2] for row in DEVELOPMENT if isinstance(row[2], str)}


# --- Verbs and objects as a policy states them ---


@pytest.mark.parametrize(
    ("text", "verbs", "objects", "count"),
    [
        ("Frobnicate the widget.", ("frobnicate",), (), 1),
        ("Frobnicate the widget.", ("frobnicate",), ("widget",), 1),
        ("Frobnicate the widget.", ("frobnicate",), ("gadget",), 0),
        ("Please re-index the site", ("re-index",), (), 1),
        ("Please reindex the site", ("re-index",), (), 1),
        ("Please back the disk up", ("back-up",), (), 1),
        ("Turn the light in the hall off.", ("turn_off",), ("light",), 1),
        ("Turn the light and the heating off.", ("turn off",), (), 0),
        ("Turn over a new leaf.", ("turn off",), (), 0),
        ("Turn the light off.", ("turn-off-",), (), 1),
        ("Delete the mail.", ("Delete",), (" Mail ",), 1),
        ("Delete the people.", ("delete",), ("person",), None),
        ("Do it.", ("do",), (), 0),
        ("You can have it.", ("have",), (), 0),
        ("Delete it.", (), (), 0),
        ("Delete it.", ("", " "), (), 0),
        ("Delete it.", ("delete",), ("",), 1),
        ("", ("delete",), (), 0),
        ("Delete the mail to", ("delete",), (), 1),
        ("Read the mail and reply", ("reply",), (), 1),
        ("Read the mail and reply.", ("reply",), (), 1),
        ("Read my mail and schedule.", ("schedule",), (), 0),
        ("Read my mail and schedule", ("schedule",), (), 0),
        ("I want the file Bob deleted back.", ("delete",), (), 0),
        ("I want the file he deleted back.", ("delete",), (), 0),
        ("I want the deleted file back.", ("delete",), (), 0),
        ("I want the mail from Bob deleted.", ("delete",), (), 1),
        ("Get the mails sent by Bob.", ("send",), (), 0),
        ("Have the mail and the file deleted.", ("delete",), (), 0),
        ("Have no mail deleted.", ("delete",), (), 0),
        ("Delete three hundred files.", ("delete",), (), 300),
        ("Delete the page https://a.example/b.", ("delete",), ("page",), 1),
        ("Open the file. Delete it. Then find the image and delete it.", ("delete",), ("file",), 2),
        ("Make a payment and don't make a transfer.", ("pay", "transfer"), (), 1),
        ("Make transfers.", ("transfer",), (), None),
        ("Make not a transfer.", ("transfer",), (), 0),
        ("A reply should go to Bob and Carol.", ("reply",), (), 1),
        ("A reply to the mail should be sent.", ("reply",), (), 1),
        ("A reply to the mail should arrive.", ("reply",), (), 0),
        ("Delete the file from all folders.", ("delete",), (), None),
        ("Find the two largest files and delete them.", ("delete",), (), 2),
        ("Find the largest files and delete them.", ("delete",), (), None),
        ("Look at 3 logs and my files. Delete them.", ("delete",), (), None),
        ("Find them and delete them.", ("delete",), (), None),
        ("Let Bob make a payment.", ("pay",), (), 0),
        ("Make a payment.", ("make", "pay"), (), 1),
        ("Don't reply, just archive it.", ("archive",), (), 1),
        ("Don't reply, archive it.", ("archive",), (), 0),
        ("Do not please delete it.", ("delete",), (), 0),
        ("Bob said, please delete it.", ("delete",), (), 0),
        ("Bob will come and delete it.", ("delete",), (), 0),
        ("Bob will come, delete it.", ("delete",), (), 1),
        ("Send Bob 50 euros.", ("send back",), (), 0),
        ("Send Bob 50 euros.", ("send money",), (), 1),
        ("Can you permanently delete it?", ("delete",), (), 1),
        ("Send me a mail.", ("send",), (), 1),
        ("Tell me a joke.", ("tell",), (), 0),
        ("Send Bob an update.", ("update",), (), 0),
        ("Send Bob a reply.", ("reply",), (), 1),
        ("Read the rule that a reply should be sent.", ("reply",), (), 0),
        ("The reply was late, you should go.", ("reply",), (), 0),
        ("A reply must", ("reply",), (), 0),
        ("Ask Bob to delete it and archive it.", ("archive",), (), 0),
        ("Order 12 must be deleted.", ("delete",), (), 1),
        ("Send no mail to Bob.", ("send",), (), 0),
        ("Send one mail to Alice and Bob.", ("send",), (), 2),
        ("Send one mail to all.", ("send",), (), 1),
        ("Delete 3.", ("delete",), (), 3),
        ("Send 100 to Bob.", ("send",), (), 1),
        ("Delete rows 3 and 40.", ("delete",), (), 2),
        ("Delete the two files a.txt.", ("delete",), (), 2),
        ("Set two alarms, one for 7 and one for 8.", ("set",), (), 2),
        ("Set an alarm, one for 7 and one for 8.", ("set",), (), 3),
        ("Send Bob and Carol the notes.", ("send",), ("mail",), 2),
        ("Send my friends the notes.", ("send",), ("mail",), None),
        ("Send the notes.", ("send",), ("mail",), 1),
        ("Send 50 euros.", ("send",), ("mail",), 0),
        ("Delete the file about all channels.", ("delete",), (), 1),
        ("Add Bob to all channels.", ("add",), (), None),
        ("Run the script three times.", ("run",), (), 3),
        ("Times: run it.", ("run",), (), 1),
        ("Change the title in the page.", ("change",), ("page",), 1),
        ("Delete the title in the page.", ("delete",), ("page",), 0),
        ("Delete everything in the page.", ("delete",), ("page",), None),
        ("Delete everything.", ("delete",), ("page",), 0),
        ("Write to Bob.", ("write",), ("mail",), 1),
        ("Write Bob.", ("write",), ("mail",), 1),
        ("Write a poem.", ("write",), ("mail",), 0),
        ("Write 'hi' to #dev.", ("write",), ("message",), 1),
        ("Write and send a mail to Bob.", ("write", "send"), (), 1),
        ("Write a mail to Bob, then quickly send it.", ("write", "send"), (), 1),
        ("Write a mail to Bob. Look at the weather. Send it.", ("write", "send"), (), 2),
        ("Write to Bob and ask for the slides.", ("write", "ask"), (), 1),
        ("Write to Bob and ask Carol for the slides.", ("write", "ask"), (), 2),
        ("Write to Bob. Thank the team.", ("write", "thank"), (), 2),
        ("Write to Bob and tell it to Carol.", ("write", "tell"), (), 1),
        ("Delete the file. Delete it.", ("delete",), (), 1),
        ("Delete the file. Delete the file.", ("delete",), (), 2),
        ("Clean up no folder.", ("clean up",), (), 0),
        ("Clean up the folder.", ("clean up",), (), None),
        ("Delete no mail.", ("delete",), ("mail",), 0),
        ("Delete web-03.", ("delete",), ("host",), 1),
        ("Delete web-03.", ("delete",), ("file",), 0),
        ("Delete the long-term plan.", ("delete",), ("host",), 0),
        ("Delete 12.", ("delete",), ("host",), 0),
        ("Delete it.", ("delete",), ("file",), 0),
        ("The file is a.txt. Delete it.", ("delete",), ("file",), 1),
        ("See a.txt. Delete it.", ("delete",), ("file",), 1),
        ("Delete it. See a.txt.", ("delete",), ("file",), 0),
        ("Delete #12.", ("delete",), ("channel",), 0),
        ("Delete #dev.", ("delete",), ("channel",), 1),
        ("Delete 2.5.", ("delete",), ("file",), 0),
        ("Delete any mail.", ("delete",), (), 1),
        ("Delete any mails.", ("delete",), (), None),
        ("Delete some.", ("delete",), (), None),
        ("Delete these.", ("delete",), (), None),
        ("Delete these 3.", ("delete",), (), 3),
        ("Delete two of them.", ("delete",), (), 2),
        ("Delete 3 spam.", ("delete",), (), 1),
        ("Delete the 2019 report.", ("delete",), (), 1),
        ("Delete one dozen files.", ("delete",), (), 12),
        ("Delete a dozen files.", ("delete",), (), 12),
        ("Delete half a dozen files.", ("delete",), (), 6),
        ("Delete the files in use.", ("delete",), (), None),
        ("Delete the file from the folder and the mail from the inbox.", ("delete",), (), 2),
        ("Delete the file from the folder and the trash.", ("delete",), (), 1),
        ("Send a mail to Alice and one to Bob.", ("send",), (), 2),
        ("Look at and delete the file.", ("delete",), (), 1),
        ("Look at the file in the folder and delete it.", ("delete",), (), 1),
        ("Cancel my 10 am meeting.", ("cancel",), ("meeting",), 1),
        ("Cancel the meetings that I am in.", ("cancel",), (), None),
        ("Delete the file ending in x.", ("delete",), ("file",), 1),
        ("Cancel the team meeting.", ("cancel",), ("meeting",), 1),
        ("Delete the file and that mail.", ("delete",), (), 2),
        ("Delete the file and that.", ("delete",), (), 1),
        ("Delete the file, and that is all.", ("delete",), (), 1),
        ("Delete the file and", ("delete",), (), 1),
        ("Book a room for 2 nights.", ("book",), (), 1),
        ("Book the rooms.", ("book",), (), None),
        ("Delete the hours.", ("delete",), (), None),
        ("Pay Alice and Bob 20 each.", ("pay",), (), 2),
        ("Delete the file and each.", ("delete",), (), None),
        ("Read the mail and order pizza.", ("order",), (), 0),
        ("Read the mail and order pizzas.", ("order",), (), None),
        ("Read the mail and order 2 pizzas.", ("order",), (), 2),
        ("Read the mail and order 12.", ("order",), (), 0),
        ("Read the mail and order 12", ("order",), (), 0),
        ("Read the mail and order 12 and 13.", ("order",), (), 0),
        ("Read the mail and email Bob.", ("email",), (), 1),
        ("Read the mail and email a@b.example.", ("email",), (), 1),
        ("Read the mail and schedule a call.", ("schedule",), (), 1),
        ("Read the mail and comment on it.", ("comment",), (), 1),
        ("Read the mail and schedule in May.", ("schedule",), (), 0),
        ("Send a mail to Alice and frobnicate the widget.", ("send",), (), 1),
        ("Send a mail to Alice and Bob the builder.", ("send",), (), 2),
        ("Send a mail to alice and carol.", ("send",), (), 2),
        ("Send a mail to Alice and #12 the first.", ("send",), (), 2),
        ("Send a mail to Alice and two to Bob.", ("send",), (), 3),
        ("Send the file back to Bob and Carol.", ("send",), (), 2),
        ("Delete www.a.example.", ("delete",), ("page",), 1),
        ("Delete https://a.example/b.", ("delete",), ("page",), 1),
        ("Move $5.", ("move",), ("money",), 1),
        ("Move 5 euros.", ("move",), ("money",), 1),
        ("Write a@b.example.", ("write",), ("mail",), 1),
        ("Write him.", ("write",), ("mail",), 1),
        ("Write a mail and send it to Bob and Carol.", ("write", "send"), (), 2),
        ("Find 2 mails. Delete the files.", ("delete",), (), None),
        ("S ing ed.", ("",), (), 0),
        ("The light should be turned off.", ("turn off",), (), 1),
        ("Transfer fees are high.", ("transfer",), (), 0),
        ("Email: bob@corp.example", ("email",), (), 0),
        ("Search of the house", ("search",), (), 0),
        ("Look at the two mails and have the file deleted.", ("delete",), (), 1),
        ("Look at the mails and have the file deleted.", ("delete",), ("mail",), 0),
        ("Have it sent to #dev.", ("send",), ("channel",), 1),
        ("Write to the landlord.", ("write",), ("mail",), 1),
        ("A removal should go to Bob.", ("remove",), ("removal",), 0),
        ("Write a mail to Bob, then carefully send it.", ("write", "send"), (), 1),
        ("Write a mail to Bob, review and send it.", ("write", "send"), (), 1),
        ("Share the file with Bob and Carol.", ("share",), (), 2),
        ("Share the file to the page.", ("share",), ("page",), 1),
        ("Share the page's title.", ("share",), ("page",), 1),
        ("Send the page's title.", ("send",), ("page",), 1),
        ("Read the page's title.", ("read",), ("page",), 0),
    ],
)
def test_the_verbs_are_the_authors(text, verbs, objects, count):
    assert Intent((text,)).asked(verbs, objects) == count


def test_turns_add_up_and_no_number_stays_none():
    assert Intent(("Delete a.txt.", "Delete b.txt and c.txt.")).asked(DELETE) == 3
    assert Intent(("Delete a.txt.", "Delete all files.", "Delete b.txt.")).asked(DELETE) is None
    assert Intent().asked(DELETE) == 0


def test_it_points_back_to_what_an_earlier_turn_spoke_of():
    assert Intent(("Look at report.pdf.", "Delete it.")).asked(DELETE, ("file",)) == 1
    assert Intent(("Look at the weather.", "Delete it.")).asked(DELETE, ("file",)) == 0


# --- Any text at all ---

PIECES = st.sampled_from(
    [
        *(
            "delete",
            "send",
            "reply",
            "the file",
            "two files",
            "all mails",
            "it",
            "them",
            "Bob",
            "a.txt",
            "to",
            "and",
        ),
        *(
            "not",
            "don't",
            "never",
            "no",
            "please",
            "can you",
            "I want",
            "if",
            "that",
            "who",
            "should",
            "be",
            "sent",
        ),
        *(
            ",",
            ".",
            ":",
            "?",
            "\n",
            "\n\n",
            "- ",
            "1. ",
            "'",
            "`",
            "```",
            "<a>",
            "</a>",
            "> ",
            "(",
            ")",
            "“",
            "„",
            "«",
        ),
        *(
            "make",
            "a transfer",
            "by",
            "deleting",
            "without",
            "half a dozen",
            "twice",
            "three times",
            "each",
            "of",
        ),
        *(
            "have",
            "deleted",
            "make sure",
            "50 euros",
            "#general",
            "$5",
            "no more than",
            "5",
            "than",
            "but",
            "so",
        ),
    ]
)
TEXT = st.one_of(
    st.text(max_size=60), st.lists(PIECES, max_size=25).map(" ".join), st.lists(PIECES).map("".join)
)
VERBS = st.one_of(
    st.sampled_from([verbs_of(tool) for tool in TOOLS]),
    st.lists(st.sampled_from([verb for row in CLASSES for verb in row.verbs]), max_size=4).map(tuple),
    st.lists(st.text(max_size=8), max_size=3).map(tuple),
)
OBJECTS = st.one_of(
    st.just(()),
    st.sampled_from([objects_of(tool) for tool in TOOLS]),
    st.lists(st.text(max_size=8)).map(tuple),
)


@given(st.lists(TEXT, max_size=3), VERBS, OBJECTS)
@example(["make"], ("make",), ())
@example(["delete of"], DELETE, ("file",))
@example(["pay each each"], ("pay",), ())
def test_any_text_gets_a_count(texts, verbs, objects):
    found = Intent(tuple(texts)).asked(verbs, objects)
    assert found is None or found >= 0


@given(TEXT, VERBS, OBJECTS)
def test_naming_objects_never_makes_a_request(text, verbs, objects):
    if Intent((text,)).asked(verbs) == 0:
        assert Intent((text,)).asked(verbs, objects) == 0


@given(st.lists(TEXT, max_size=2), TEXT, st.lists(TEXT, max_size=2), VERBS, OBJECTS)
def test_another_text_takes_nothing_back(before, text, after, verbs, objects):
    alone = Intent((*before, *after)).asked(verbs, objects)
    assert more(Intent((*before, text, *after)).asked(verbs, objects), alone) or alone == Intent(
        (*before, text, *after)
    ).asked(verbs, objects)


@given(TEXT, TEXT, VERBS, OBJECTS)
@example("delete all files", "Write", ("delete",), ())
@example("x\n\n- delete all files\n\n", "Write", ("delete",), ())
def test_what_is_quoted_asks_for_nothing(quoted, before, verbs, objects):
    quoted = quoted.replace('"', "").replace("\uff02", "")
    before = "".join(char for char in before if char not in "\"`'“„«‹「<\uff02>")
    assert Intent((f'"{quoted}"',)).asked(verbs) == 0
    said = Intent((f'{before} "{quoted}" please.',)).asked(verbs, objects)
    assert said == Intent((f'{before} "x" please.',)).asked(verbs, objects)


@given(TEXT, VERBS)
def test_do_not_asks_for_nothing(text, verbs):
    spoken = " ".join(read(text).words).replace(".", " ").replace(":", " ").split()
    plain = [
        word
        for word in spoken
        if word.isalpha() and word not in ("but", "instead", "please", "just", "then", "so")
    ]
    if plain and not {"forget", "hesitate", "fail", "neglect", "however", "otherwise"} & set(plain):
        assert Intent((f"Do not {' '.join(plain)}",)).asked(verbs) in (0,) or _resumed(plain)


def _resumed(words):
    """Words that end what "not" holds for."""
    return bool({"rather", "simply", "kindly", "therefore", "hence", "thus"} & set(words))


def test_tool_outputs_have_no_way_in():
    """An Intent is made of texts alone; nothing in it could hold an output, a label or a call."""
    assert [(field.name, field.type) for field in fields(Intent)] == [("texts", tuple[str, ...])]


# --- Time ---

LONG = 100_000
SHORT = 8_000


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "delete ",
            "delete. ",
            "delete a, ",
            "and delete it ",
            "to delete ",
            "send a and ",
            "delete it\n",
            "\n",
        ),
        *(
            "'a ",
            '"a" ',
            "'",
            '"',
            "`",
            "```",
            "<a>",
            "<a></a>",
            "“",
            "don't ",
            "say: ",
            ": ",
            "é",
            "1,000 ",
            "#",
            "a.b",
        ),
        *("make a ", "let ", "turn ", "of the ", "have it ", "than ", "twice ", "> ", "- "),
    ],
)
def test_the_time_is_linear(piece):
    verbs = (*DELETE, "let know", "turn off", "make")

    def seconds(size):
        text = (piece * (size // len(piece) + 1))[:size]
        started = time.process_time()
        Intent((text,)).asked(verbs, ("file",))
        return time.process_time() - started

    small, large = min(seconds(SHORT + i) for i in range(3)), seconds(5 * SHORT)
    assert large < 25 * small + 0.05


def test_a_long_prompt_is_read_in_little_time():
    prose = "The committee's annual report, published in March, describes the growth of the sector in some detail. "
    text = prose * (LONG // len(prose)) + "Please delete the largest file."
    started = time.process_time()
    assert Intent((text,)).asked(DELETE) == 1
    assert time.process_time() - started < 0.2  # docs/intent.md has the figure of an idle machine


@pytest.mark.parametrize(
    ("asked", "prompt"),
    [
        (1, "Look up which linter is fastest, and install ruff."),
        (1, "Read the log of web1 and restart haproxy on web1"),
        (0, "Tell me when the download and install date was."),
        (0, "Tell me about the stop and restart procedure."),
    ],
)
def test_a_name_that_is_written_small_is_an_object(asked, prompt):
    assert Intent((prompt,)).asked(("install", "restart")) == asked
