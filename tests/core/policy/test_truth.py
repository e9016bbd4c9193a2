"""Three-valued answers: what can't be decided stays undecided."""

from blastwall.policy.truth import Truth, every, of, some

YES, NO, UNKNOWN = Truth.YES, Truth.NO, Truth.UNKNOWN


def test_a_condition_is_decided():
    assert (of(True), of(False)) == (YES, NO)


def test_all_hold_only_when_each_does():
    assert every([]) is YES
    assert every([YES, YES]) is YES
    assert every([YES, UNKNOWN]) is UNKNOWN
    assert every([UNKNOWN, NO, YES]) is NO


def test_one_holds_when_any_does():
    assert some([]) is NO
    assert some([NO, NO]) is NO
    assert some([NO, UNKNOWN]) is UNKNOWN
    assert some([UNKNOWN, NO, YES]) is YES
