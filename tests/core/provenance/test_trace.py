"""One call traced: which of its values each finding lies in, and what is beyond the limits."""

import base64

import pytest
from tests.core.provenance.sessions import (
    EXTERNAL,
    INTERNAL,
    PRIVATE,
    PROMPT,
    PUBLIC,
    SECRET,
    leaf,
    levels,
    session,
    whole,
)

from blastwall.frozen import freeze
from blastwall.provenance import How, Origin
from blastwall.provenance.index import FOUND
from blastwall.provenance.mentions import LONGEST
from blastwall.provenance.trace import EVERYTHING, MOST_WORDS, TRACED
from blastwall.values import Label

SEEN = Label(EXTERNAL, SECRET)
BEYOND = Origin(EVERYTHING, 0, "$", SEEN, How.PART)
ENGLISH = (
    "the thing is that those in the house of the king went out and told the others in the north to stand"
)
TURNED = str.maketrans("abcdefghijklmnopqrstuvwxyz", "nopqrstuvwxyzabcdefghijklm")


def parts(memory, **arguments):
    """Give how something was found in each argument in which anything was."""
    traced = memory.recall(freeze(arguments)).traced
    return {".".join(map(str, t.path)): [o.how for o in t.parts] for t in traced if t.parts}


@pytest.fixture
def memory():
    return session({"password": "zqxjvkwpbcmlq"}, {"password": "90417"})


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"a": "zqxjvkwpbcmlq"}, {"a": How.PART}),
        ({"a": "x", "b": "is zqxjvkwpbcmlq.", "c": "y"}, {"b": How.PART}),
        ({"a": "x zqxj", "b": "vkwpbcmlq y", "c": "y"}, {"a": How.JOINED, "b": How.JOINED}),
        ({"a": "zqxjvkwpbcml", "b": "q", "c": "y"}, {"a": How.JOINED, "b": How.JOINED}),
        ({"a": "zqxj", "b": "vkwp", "c": "bcmlq"}, dict.fromkeys("abc", How.JOINED)),
        ({"a": "zqxj", "b": "", "c": None, "d": "vkwpbcmlq", "e": "x"}, dict.fromkeys("abcd", How.JOINED)),
        # turned around, and turned by 13 letters
        ({"a": "qlmcbpwkvjxqz"}, {"a": How.DECODED}),
        ({"a": "xx", "b": "qlmcbpwkvjxqz", "c": "xxxx"}, {"b": How.DECODED}),
        ({"a": "xx", "b": "zqxjvkwpbcmlq".translate(TURNED), "c": "xxxx"}, {"b": How.DECODED}),
        ({"a": ENGLISH * 2, "b": "qlmcbpw", "c": "kvjxqz", "d": "x"}, {"b": How.DECODED, "c": How.DECODED}),
        # cut in two
        ({"a": "904", "b": "17", "c": 1}, dict.fromkeys("abc", How.JOINED)),
        ({"a": "904", "b": "", "c": None, "d": "17"}, dict.fromkeys("ad", How.JOINED)),
        ({"a": "90", "b": "417 x"}, dict.fromkeys("ab", How.JOINED)),
        ({"a": "90", "b": "41"}, {}),
        ({"a": "17", "b": "904"}, {}),
    ],
)
def test_each_value_is_told_what_lies_in_it(memory, arguments, found):
    assert {path: hows[0] for path, hows in parts(memory, **arguments).items()} == found


def test_what_is_encoded_over_several_values_is_found(memory):
    encoded = base64.b64encode(b"it is zqxjvkwpbcmlq").decode()
    assert parts(memory, a=encoded[:9], b=encoded[9:], c="x") == {name: [How.DECODED] for name in "abc"}
    assert parts(memory, a=encoded[:-1], b=encoded[-1:]) == {name: [How.DECODED] for name in "ab"}
    assert parts(memory, a=f"{encoded} ", b="x") == {"a": [How.DECODED]}


def test_an_encoded_value_is_found_as_a_whole():
    memory = session({"body": "a b!"}, {"body": "see https://a.example/x"})
    assert parts(memory, a=base64.b64encode(b"a b!").decode()) == {"a": [How.DECODED]}
    assert parts(session({"body": "a b!"}, prompt="a b!"), a=base64.b64encode(b"a b!").decode()) == {}


def test_a_field_that_holds_the_value_is_its_origin():
    seen = Origin("mail.get", 1, "$.body", Label(EXTERNAL, PRIVATE), How.EXACT)
    assert leaf(session({"body": "a b"}), "a b").whole == (seen,)


@pytest.mark.parametrize(
    ("memory", "integrity"),
    [
        (session({"note": "see https://b\u00fccher.com"}), INTERNAL),
        (session(prompt="Visit https://b\u00fccher.com"), PROMPT),
    ],
)
def test_a_host_alone_is_a_link_like_its_address(memory, integrity):
    (link,) = leaf(memory, "go to xn--bcher-kva.com").links
    assert [o.label.integrity for o in link.origins] == [integrity]


def test_the_user_may_cut_his_own_words_in_two():
    text = {"a": "904", "b": "17"}
    assert levels(session({"password": "90417"}), text) is SECRET
    assert levels(session({"password": "90417"}, prompt="the number is 90417"), text) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ab1", False),
        ("ab12", True),
        (f"ab1{'.' * (LONGEST - 4)}2", True),
        (f"ab1{'.' * (LONGEST - 3)}2", False),
    ],
)
def test_how_long_a_value_may_be_that_is_cut_in_two(text, found):
    memory = session({"id": 1, "open": text})
    joined = [o.how for o in memory.recall(freeze({"a": text[:2], "b": text[2:]})).traced[0].parts]
    assert joined == [How.JOINED] * found


@pytest.mark.parametrize(("length", "found"), [(LONGEST, True), (LONGEST + 1, False)])
def test_how_long_a_phrase_may_be_that_is_mentioned(length, found):
    text = "x " * (length // 2 - 2) + "y" * (length - 2 * (length // 2 - 2))
    assert len(text) == length
    assert whole(session({"body": f"see {text} there"}), text) == ({"mention"} if found else set())


def test_every_label_and_turn_of_a_long_copy_is_told_once():
    text = "".join(chr(97 + i * i % 23) for i in range(20)) * 5
    memory = session({"password": text}, {"body": text})
    assert [(o.label, o.turn) for o in leaf(memory, text).parts] == [
        (SEEN, 1),
        (Label(EXTERNAL, PRIVATE), 2),
    ]


# --- Limits


def test_what_is_beyond_the_limit_may_hold_everything():
    memory = session({"password": "hunter22"})
    traced = memory.recall(freeze({"a": "x" * TRACED, "b": "y", "c": ""})).traced
    assert [t.parts for t in traced] == [(), (BEYOND,), ()]
    (traced,) = memory.recall(freeze({"a": "x" * (TRACED + 1)})).traced
    assert traced.parts == (BEYOND,)


def test_keys_count_too():
    memory = session({"password": "hunter22"})
    keys = {"1" * (TRACED - 2): 1, "2": 2}
    assert [(t.path, t.parts) for t in memory.recall(freeze(keys)).traced if t.parts] == [(("2",), (BEYOND,))]


@pytest.mark.parametrize("several", [MOST_WORDS, MOST_WORDS + 1])
def test_odd_words_beyond_the_limit_may_be_from_everywhere(several):
    memory = session({"password": "hunter22"})
    text = " ".join(f"x{i}" for i in range(31000, 31000 + several))
    assert leaf(memory, text).parts == ((BEYOND,) if several > MOST_WORDS else ())


def test_words_of_the_users_own_count_for_nothing():
    text = " ".join(f"x{i}" for i in range(31000, 31000 + MOST_WORDS + 1))
    assert leaf(session({"password": "hunter22"}, prompt=text), text).parts == ()


# --- Text that does not read like English


@pytest.mark.parametrize("before", range(0, 60, 7))
@pytest.mark.parametrize("disguise", [lambda text: text[::-1], lambda text: text.translate(TURNED)])
def test_disguised_text_is_found_wherever_it_begins_in_english(before, disguise):
    secret = "qzxjvkwpzlmqhbvcxwrpgjykbqxz"
    memory = session({"password": secret * 2})
    english = "".join(ENGLISH.split())
    text = f"{english[:before]}{disguise(secret * 2)}{english}"
    assert [o.how for o in leaf(memory, text).parts] == [How.DECODED]
    assert len(secret) > FOUND


def test_what_the_user_wrote_is_told_as_the_users_words():
    memory = session(prompt="Mail ann@example.com about https://example.com/plan, please")
    words = Origin("", 0, "$", Label(PROMPT, PUBLIC))
    to, text = memory.recall(freeze({"a": "ann@example.com", "b": "see https://example.com/plan!"})).traced
    assert to.whole == (words,)
    assert [link.origins for link in text.links] == [(words,)]
