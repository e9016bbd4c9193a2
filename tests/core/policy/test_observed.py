"""What past decisions are read for: which arguments held something secret."""

from dataclasses import replace

import pytest

from blastwall.policy.observed import Observed, secret, secrets
from blastwall.provenance.origins import Context, Link, Origin, Traced
from blastwall.values import Confidentiality, Integrity, Label, ToolCall

PLAIN, SECRET = (
    Origin("vault.read", 1, "$", Label(Integrity.INTERNAL, held))
    for held in (Confidentiality.PRIVATE, Confidentiality.SECRET)
)


@pytest.mark.parametrize(
    ("seen", "is_secret"),
    [
        ({}, False),
        ({"whole": (PLAIN,)}, False),
        ({"whole": (PLAIN, SECRET)}, True),
        ({"parts": (SECRET, PLAIN)}, True),
        ({"links": (Link("https://a.example", (PLAIN,)), Link("https://b.example", (SECRET,)))}, True),
    ],
)
def test_a_value_is_secret_if_anything_of_it_is(seen, is_secret):
    leaf = Traced(("text", 0), "x", **seen)
    assert secret(leaf) is is_secret
    assert secrets(Context((leaf, Traced(("to",), "y", (PLAIN,))))) == ({"text"} if is_secret else set())


def test_what_is_no_argument_names_none():
    assert secrets(Context((Traced((), "x", (SECRET,)),))) == frozenset()


def test_what_was_not_recorded_is_empty():
    seen = Observed(1, "vault", "read", "d", "deny")
    assert (seen.rule, seen.reason, seen.call, seen.context) == ("", "", None, None)
    with pytest.raises(ValueError, match=r"of vault.read, only the digest was recorded"):
        seen.made()
    call = ToolCall.of("vault", "read", {})
    assert replace(seen, call=call).made() is call
