"""What stands behind a verb is cut into the object and one phrase for each preposition."""

import pytest

from blastwall.provenance.english.phrases import LONGEST, cut, is_name
from blastwall.provenance.english.reading import read


def shown(text):
    """Write the phrases with `/` between them, and after a bar what is behind them; `archive` is a verb."""
    found = read(text)
    phrases, end = cut(found, 0, len(found.words), lambda i: found.words[i] == "archive")
    written = [
        " & ".join(" ".join(found.words[i] for i in thing) for thing in phrase.things) for phrase in phrases
    ]
    named = [
        f"{phrase.preposition}: {things}" if phrase.preposition else things
        for phrase, things in zip(phrases, written, strict=True)
    ]
    return " / ".join(named) + (f" | {' '.join(found.words[end:])}" if end < len(found.words) else "")


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("the file", "the file"),
        ("the file now", "the file"),
        ("the file quickly", "the file"),
        ("the file carefully", "the file"),
        ("the file back", "the file"),
        ("the file please", "the file"),
        ("not the file", "not the file"),
        ("", ""),
        # lists
        ("the file and the mail", "the file & the mail"),
        ("the file, the mail", "the file"),
        ("Bob, my brother", "bob"),
        ("Bob, Carol", "bob & carol"),
        ("Bob, my brother, and Carol", "bob & my brother & carol"),
        ("Bob and", "bob"),
        ("or", ""),
        # prepositions
        ("to Bob", "bob"),
        ("back to Bob", "bob"),
        ("a mail to Bob", "a mail / to: bob"),
        ("a mail to Bob and Carol", "a mail / to: bob & carol"),
        ("a mail to Bob to Carol", "a mail / to: bob / to: carol"),
        ("a mail to Bob and one to Carol", "a mail & one / to: bob / to: carol"),
        ("the file up to Bob", "the file / to: bob"),
        ("a mail with the file about x by Bob", "a mail / with: the file / about: x / by: bob"),
        ("the file between a and b", "the file / between: a & b"),
        # quantities
        ("two of the files", "two the files"),
        ("the files of Bob", "the files / of: bob"),
        ("no more than five files", "five files"),
        ("at most five", "five"),
        ("one or two files", "two files"),
        ("the first or last file", "file"),
        ("files older than a year", "files | than a year"),
        ("files than a year", "files | than a year"),
        ("than a year", "a year"),
        # where the phrases end
        ("the file, then archive it", "the file | , then archive it"),
        ("the file, and please now archive it", "the file | , and please now archive it"),
        ("the file and archive it", "the file | and archive it"),
        ("the file and, archive it", "the file | and , archive it"),
        ("the file and then the mail", "the file | then the mail"),
        ("the file and that is", "the file | and that is"),
        ("and archive the file", "the file"),
        ("the file to and archive it", "the file / to:  | and archive it"),
        ("the file and that is all", "the file | and that is all"),
        ("the file and that mail", "the file & that mail"),
        ("the file and that", "the file & that"),
        ("the file but not it", "the file | but not it"),
        ("the file that I like", "the file | that i like"),
        ("that file", "that file"),
        ("the file he wants", "the file | he wants"),
        ("he wants", "he | wants"),
        ("the mail sent by Bob", "the mail | sent by bob"),
        ("the sent mail", "the sent mail"),
        ("the file lying there", "the file | lying there"),
        ("the painting", "the painting"),
        ("my 10 am meeting", "my 10 am meeting"),
        ("10 am meeting", "10 am meeting"),
        ("the files am", "the files | am"),
    ],
)
def test_phrases(text, phrases):
    assert shown(text) == phrases


def test_what_is_far_behind_a_verb_is_not_read():
    assert shown("x " * LONGEST) == " ".join("x" * LONGEST)
    assert shown("x " * LONGEST + "y") == " ".join("x" * LONGEST) + " | y"


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("Alice", True),
        ("a.txt", True),
        ("#3", True),
        ("12", True),
        ("'x'", True),
        ("bob's", False),
        ("re-run", False),
    ],
)
def test_names(word, name):
    assert is_name(read(word), 0) == name
