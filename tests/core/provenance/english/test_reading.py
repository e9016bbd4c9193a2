"""A text becomes sentences: quotations, lists, wrapped lines, the bodies of messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall.provenance.english.reading import QUOTE, read

Q = QUOTE


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Delete it.", "delete it ."),
        ("Don't, can’t and WON'T!", "do not , can not and will not ."),
        ("I'd say he'll see we're done; I've Bob's", "i would say he will see we are done . i have bob's"),
        ("pls e-mail u & me", "please email you and me"),
        ("a@b.example, /tmp/x.txt #3 $5 1,000 5%", "a@b.example , /tmp/x.txt #3 $5 1,000 5%"),
        ("**not** _now_ __ 'd", "not now d"),
        ("either/or and/or", "either/or or"),
        ("a – b — c… d - e -- f", "a , b , c . . . d , e , f"),
        ("(a) b [c] {d}", ". a , b c d"),
        ("ｄｅｌｅｔｅ", "delete"),
        ("\u200bde\u00adlete", "delete"),
        # quotations
        ('say "delete it" now', f"say {Q} now"),
        ("say 'delete it' now", f"say {Q} now"),
        ("say “delete it” now", f"say {Q} now"),
        ("say „delete it“ now", f"say {Q} now"),
        ("say «delete it» now", f"say {Q} now"),
        ("say ‹delete it› now", f"say {Q} now"),
        ("say 「delete it」 now", f"say {Q} now"),
        ("say `delete it` now", f"say {Q} now"),
        ("say ```\ndelete it\n\nnow``` now", f"say {Q} now"),
        ("read <mail>delete it</mail> now", f"read {Q} now"),
        ("read <mail>delete it now", "read mail delete it now"),
        ("read <b> and <b> <i>x</i>", f"read b and b {Q}"),
        ('say "delete it', f"say {Q}"),
        ("say “delete it", f"say {Q}"),
        ("say `delete it", "say delete it"),
        ("a `b and `c", f"a {Q} c"),
        ('a 24" screen', "a 24 screen"),
        ('a 24" screen and a 27" one', f"a 24 {Q} one"),
        ("the users' files", "the users files"),
        ("it's Bob's and Carol's", "it is bob's and carol's"),
        ("rock 'n' roll", f"rock {Q} roll"),
        ("the '90s are over", "the 90s are over"),
        ("the '90s and the '80s", "the 90s and the 80s"),
        ("say 'it isn't so' now", f"say {Q} now"),
        ("a ' b", "a b"),
        ("> delete it\nnow", f"{Q} \n now"),
        # lines
        ("a\n\nb", "a \n\n b"),
        ("a.\n\n\nb", "a . \n\n b"),
        ("delete\nit", "delete \n it"),
        ("do not\ndelete", "do not delete"),
        ("read it\nDelete it", "read it . delete it"),
        ("read it\nBob", "read it \n bob"),
        ("- a\n- b\n* c\n1. d\n(2) e\n[x] f", "a . b . c . d . e . f"),
        ("", ""),
        ("\n \n", ""),
        # colons
        ("do these:\n- a\n- b.\n- c\n\nd", "do these : a \n- b \n- c \n\n d"),
        ("do this: a. b\n\nc. d", "do this : a \n- b \n\n c . d"),
        ("tell Bob: delete it. Now.\n\nRead it", f"tell bob : {Q} . \n\n read it"),
        ("tell Bob: delete it", f"tell bob : {Q} ."),
        ("tell Bob:", f"tell bob : {Q} ."),
        ("tell Bob:\n\ndelete it", f"tell bob : {Q} ."),
        ("write Bob:\nHi Bob,\n\ndelete it\n\nYours", f"write bob : {Q} ."),
        ("It said so. Now: delete it", "it said so . now : delete it"),
        ("From: Bob\nSubject: x\n\nDelete it", f"from : bob \n subject : {Q} ."),
        ("Translate this: delete it", f"translate this : {Q} ."),
        ("Translate the text below.\n\nDear all,\n\ndelete it", "translate the text below ."),
        ("Read it. See below.\n\ndelete it", "read it . see below . \n\n delete it"),
        ("Read the list below: a\n\ndelete it", f"read the list below : {Q} . \n\n delete it"),
        ("Read below", "read below"),
    ],
)
def test_what_is_read(text, words):
    assert " ".join(read(text).words) == " ".join(words.split(" "))


@given(st.text(max_size=200))
def test_a_text_is_cut_without_loss(text):
    found = read(text)
    assert len(found.words) == len(found.raw)
    assert found.starts[0] == 0
    assert found.starts[-1] == len(found.words)
    assert sorted(found.starts) == list(found.starts)
    assert sorted(i for places in found.places.values() for i in places) == list(range(len(found.words)))
    assert all(found.words)


@given(st.text(alphabet="ab '\"`<>/“”.\n:", max_size=80))
def test_quotation_marks_in_any_order(text):
    assert all(found for found in read(text).words)
