"""What the user reads who wrote a policy wrong: every mistake at once, each with its place."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.core.policies import PROJECT, policy

from blastwall.errors import PolicyError
from blastwall.policy import Policy, parse, shipped

MALFORMED = [
    case
    for name in ("malformed.yaml", "malformed_scopes.yaml", "malformed_servers.yaml")
    for case in yaml.safe_load(Path(__file__).with_name(name).read_text(encoding="utf-8"))
]
SMALLEST = b"version: 1\nconnectors: {files: {}}\n"
LARGEST = 256 * 1024


def parsed(content, resolve=lambda path, base: str(Path(base or PROJECT, path))):
    return parse(content, file="policy.yaml", directory=PROJECT, state=Path("/state"), resolve=resolve)


def errors(content):
    with pytest.raises(PolicyError) as caught:
        parsed(content)
    return str(caught.value)


@pytest.mark.parametrize("case", MALFORMED, ids=lambda case: case["name"])
def test_a_malformed_policy_gets_exactly_this_error(case):
    with pytest.raises(PolicyError) as caught:
        policy(case["policy"])
    assert str(caught.value) == case["errors"].rstrip("\n")


def test_the_corpus_is_large_and_its_names_are_unique():
    assert len({case["name"] for case in MALFORMED}) == len(MALFORMED) >= 300


@pytest.mark.parametrize("case", MALFORMED, ids=lambda case: case["name"])
def test_no_error_speaks_of_python_or_pydantic(case):
    for word in ("pydantic", "Input", "dict", "NoneType", "None", "Traceback", "object has no"):
        assert word not in case["errors"]


def test_the_smallest_policy_is_no_mistake():
    """The control for everything above."""
    assert isinstance(parsed(SMALLEST), Policy)


def test_the_largest_policy_is_no_mistake():
    assert isinstance(parsed(SMALLEST.ljust(LARGEST, b"#")), Policy)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"\xef\xbb\xbf", "policy.yaml:1:1: the file is empty: a policy starts with `version: 1`"),
        (b"version: 1\n# \xff", "policy.yaml:2:3: this is not UTF-8 text"),
        (b"\xff\xfev\0e\0", "policy.yaml:1:1: this is not UTF-8 text"),
        (b"\x80", "policy.yaml:1:1: this is not UTF-8 text"),
        (b"v: '\xed\xa0\x80'", "policy.yaml:1:5: this is not UTF-8 text"),
        (
            SMALLEST.ljust(LARGEST + 1, b"#"),
            f"policy.yaml:1:1: larger than {LARGEST} bytes: a policy is not that long",
        ),
        (b"\n\xff", "policy.yaml:2:1: this is not UTF-8 text"),
        (b"\0", "policy.yaml:1:1: the character U+0000 is not allowed"),
    ],
)
def test_bytes_that_are_no_policy_say_so(content, error):
    assert errors(content) == error


def test_a_byte_order_mark_and_the_line_ends_of_windows_are_no_mistakes():
    assert parsed(b"\xef\xbb\xbf" + SMALLEST.replace(b"\n", b"\r\n")).connectors.keys() == {"files"}


def test_the_places_of_errors_count_the_lines_of_windows_once():
    assert errors(b"version: 1\r\nconnectors:\r\n  files: {rule: []}\r\n").startswith("policy.yaml:3:11: ")


def test_json_is_a_policy_too():
    assert parsed(json.dumps({"version": 1, "connectors": {"files": {}}}).encode()).connectors


def test_problems_are_structured_and_in_the_order_of_the_file():
    with pytest.raises(PolicyError) as caught:
        parsed(b"version: 1\nconectors: {}\nconnectors:\n  b: {rule: []}\n  a: {rule: []}\n")
    problems = caught.value.problems
    assert [(p.line, p.column, p.path) for p in problems] == [
        (2, 1, "conectors"),
        (4, 7, "connectors.b.rule"),
        (5, 7, "connectors.a.rule"),
    ]
    assert str(caught.value) == "\n".join(map(str, problems))


def test_a_huge_value_is_not_repeated_whole():
    assert len(errors(b"version: 1\nconnectors: " + b"x" * 100_000)) < 200


def test_a_policy_is_known_by_its_file_and_by_what_its_templates_say(monkeypatch):
    assert parsed(SMALLEST).digest == hashlib.sha256(SMALLEST).hexdigest()
    written, expand = b"version: 1\nconnectors: {it: {template: fetch}}\n", shipped.expand
    digests = [parsed(written).digest]
    for other in (lambda laid: dict(reversed(laid.items())), lambda laid: laid | {"rules": []}):
        monkeypatch.setattr(shipped, "expand", lambda *given, other=other: other(expand(*given)))
        digests.append(parsed(written).digest)
    assert digests[0] == digests[1] != digests[2]
    assert hashlib.sha256(written).hexdigest() not in digests


def test_a_path_that_can_not_be_resolved_is_a_mistake():
    content = b"version: 1\nconnectors: {files: {directory: x}}\n"
    with pytest.raises(PolicyError, match="'x' leads nowhere certain"):
        parsed(content, resolve=lambda path, base: None)


def test_a_path_that_moves_while_the_policy_is_read_stops_the_reading():
    """A root that is not resolved would be one that no path is ever under: a deny rule without effect."""
    content = b"version: 1\nconnectors: {files: {directory: x}}\n"
    answers = iter(["/x", "/policy.yaml", None])
    with pytest.raises(PolicyError, match=r"^policy\.yaml: 'x' moved while the policy was read: try again$"):
        parsed(content, resolve=lambda path, base: next(answers))


plain = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | st.text("ab*~$/.:", max_size=4)
words = st.sampled_from(
    "version defaults connectors sandboxes files rules id effect tools args when annotations readOnlyHint"
    " under enum pattern hosts recipients minimum maximum max_items optional sandbox otherwise match server"
    " command env screening actions approval mode state directory label strength workspace read [key]".split()
)
anything = st.recursive(
    plain | words,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(words | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=30,
)


WHOLE = {
    "version": 1,
    "defaults": {
        "state": {"directory": "s"},
        "approval": {"mode": "ask"},
        "label": {"integrity": "internal"},
    },
    "sandboxes": {"box": {"workspace": "w", "read": ["/opt"], "env": {"A": "b"}}},
    "connectors": {
        "files": {
            "match": {"tools": ["*"]},
            "server": {"command": "c", "args": ["x"], "env": {"A": "b"}, "sandbox": "box"},
            "screening": {"actions": {"override": "mark"}},
            "rules": [
                {
                    "id": "a",
                    "effect": "deny",
                    "tools": ["x"],
                    "when": {"annotations": {"openWorldHint": True}},
                },
                {
                    "id": "b",
                    "effect": "ask",
                    "tools": ["y"],
                    "args": {"p": {"under": ["."]}},
                    "otherwise": "deny",
                },
                {
                    "id": "c",
                    "effect": "allow",
                    "tools": ["z"],
                    "args": {"q": {"enum": [1]}},
                    "sandbox": "box",
                },
            ],
        }
    },
}


def test_the_whole_policy_is_no_mistake():
    """The control for what is put into it next."""
    assert policy(WHOLE).connectors.keys() == {"files"}


def spoilt(data, draw, by):
    """Put `by` somewhere into the data."""
    if not isinstance(data, dict | list) or not data or draw(st.integers(0, 4)) == 0:
        return by
    where = draw(st.sampled_from(sorted(data) if isinstance(data, dict) else range(len(data))))
    copy = dict(data) if isinstance(data, dict) else list(data)
    copy[where] = spoilt(data[where], draw, by)
    return copy


@given(st.data(), anything)
def test_whatever_stands_in_the_place_of_whatever_there_are_only_policies_and_policy_errors(data, by):
    try:
        policy(spoilt(WHOLE, data.draw, by))
    except PolicyError as error:
        assert all(p.line and p.column and p.message for p in error.problems)


@given(anything)
def test_whatever_the_data_is_there_are_only_policies_and_policy_errors(data):
    try:
        policy({"version": 1, "connectors": data})
        policy(data)
    except PolicyError as error:
        assert error.problems


@given(st.binary(max_size=60))
def test_whatever_the_bytes_are_there_are_only_policy_errors(content):
    assert errors(content)
