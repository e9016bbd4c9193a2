"""What a rule may demand of an argument, tried by somebody who wants to get past it.

Each demand is compiled from a policy and put to an allow rule and to a deny rule. ALLOWED: the allow
rule lets it run and the deny rule stops it. OTHER: it is something else to both, so neither speaks.
UNCLEAR: nobody can say, so the allow rule does not let it run and the deny rule stops it.
"""

import pytest
from tests.core.policies import PROJECT, rules

from blastwall.paths import resolve
from blastwall.values import Allow, Deny, Reason, ToolCall

ALLOWED, OTHER, UNCLEAR = (True, False), (False, True), (False, False)


def runs(policy, arguments):
    call = ToolCall.of("files", "tool", arguments)
    base = policy.directory("files")
    verdict = policy.decide(call, {path: resolve(path, base) for path in policy.paths(call)})
    assert isinstance(verdict, Allow | Deny)
    return isinstance(verdict, Allow)


def answer(demands, arguments, folder=PROJECT):
    """Say whether an allow rule with these demands lets the call run, and whether a deny rule does."""
    args = {"args": demands}
    allowing = rules({"effect": "allow"} | args, folder=folder, directory=".")
    denying = rules({"effect": "allow"}, {"effect": "deny"} | args, folder=folder, directory=".")
    return runs(allowing, arguments), runs(denying, arguments)


@pytest.mark.parametrize(
    ("allowed", "value", "expected"),
    [
        ([1], 1, ALLOWED),
        ([1], 1.0, ALLOWED),
        ([1.0], 1, ALLOWED),
        ([0], -0.0, ALLOWED),
        ([1], 2, OTHER),
        ([1], True, UNCLEAR),
        ([True], 1, UNCLEAR),
        ([True], True, ALLOWED),
        ([True], False, OTHER),
        ([True], "true", UNCLEAR),
        ([0], False, UNCLEAR),
        ([0], "", UNCLEAR),
        (["1"], 1, UNCLEAR),
        ([1], "1", UNCLEAR),
        (["main"], "main", ALLOWED),
        (["main"], "Main", OTHER),
        (["main"], "main ", OTHER),
        (["main"], {"main": "main"}, UNCLEAR),
        (["main"], [["main"]], UNCLEAR),
        (["main"], ["main"], ALLOWED),
        (["a", "b"], ["a", "b"], ALLOWED),
        ([None], None, ALLOWED),
        ([None, "a"], "a", ALLOWED),
        (["null"], None, OTHER),
        ([1, "a", None, True], "a", ALLOWED),
        ([1, "a", None, True], "b", OTHER),
        ([9007199254740993], 9007199254740992, OTHER),
    ],
)
def test_enum(allowed, value, expected):
    assert answer({"a": {"enum": allowed}}, {"a": value}) == expected


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("[a-z]+", "abc", ALLOWED),
        ("[a-z]+", "abc1", OTHER),
        ("[a-z]+", "1abc", OTHER),
        ("[a-z]+", "", OTHER),
        ("[a-z]+", "abc\n", OTHER),
        ("[a-z]+$", "abc\n", OTHER),
        ("^[a-z]+$", "abc\nrm", OTHER),
        ("a|b", "a", ALLOWED),
        ("a|b", "ab", OTHER),
        ("a.c", "a\nc", OTHER),
        ("(?s)a.c", "a\nc", ALLOWED),
        (".*", "x\0y", ALLOWED),
        ("(?i)abc", "ABC", ALLOWED),
        ("\\w+", "ä", OTHER),
        ("[a-z]+", 1, UNCLEAR),
        ("1", 1, UNCLEAR),
        ("[a-z]+", True, UNCLEAR),
        ("[a-z]+", {"abc": 1}, UNCLEAR),
        ("[a-z]+", [["abc"]], UNCLEAR),
        ("[a-z]+", None, OTHER),
        ("(a+)+b", "a" * 50_000, OTHER),
    ],
)
def test_pattern(pattern, value, expected):
    assert answer({"a": {"pattern": pattern}}, {"a": value}) == expected


@pytest.mark.parametrize(
    ("bounds", "value", "expected"),
    [
        ({"minimum": 1, "maximum": 3}, 1, ALLOWED),
        ({"minimum": 1, "maximum": 3}, 3, ALLOWED),
        ({"minimum": 1, "maximum": 3}, 3.0, ALLOWED),
        ({"minimum": 1, "maximum": 3}, 3.0001, OTHER),
        ({"minimum": 1, "maximum": 3}, 0, OTHER),
        ({"minimum": 0}, -0.0, ALLOWED),
        ({"minimum": 0}, -1, OTHER),
        ({"maximum": 500}, 2**62, OTHER),
        ({"maximum": 500}, -(2**62), ALLOWED),
        ({"maximum": 500}, 1e308, OTHER),
        ({"maximum": 500}, True, UNCLEAR),
        ({"maximum": 500}, "5", UNCLEAR),
        ({"maximum": 500}, "1e3", UNCLEAR),
        ({"maximum": 500}, None, OTHER),
        ({"maximum": 500}, [1, 2], ALLOWED),
        ({"maximum": 500}, [1, 2000], (False, False)),
        ({"maximum": 500}, {"value": 1}, UNCLEAR),
    ],
)
def test_numbers(bounds, value, expected):
    assert answer({"a": bounds}, {"a": value}) == expected


@pytest.mark.parametrize(
    ("demand", "value", "expected"),
    [
        ({"max_length": 3}, "abc", ALLOWED),
        ({"max_length": 3}, "äöü", ALLOWED),
        ({"max_length": 3}, "abcd", OTHER),
        ({"max_length": 0}, "", ALLOWED),
        ({"max_length": 3}, 12, UNCLEAR),
        ({"max_length": 3}, ["abc", "abcd"], (False, False)),
        ({"max_items": 2}, ["a", "b"], ALLOWED),
        ({"max_items": 2}, ["a", "b", "c"], OTHER),
        ({"max_items": 2}, [], ALLOWED),
        ({"max_items": 2}, "one", ALLOWED),
        ({"max_items": 1}, "one", ALLOWED),
        ({"max_items": 0}, "one", OTHER),
        ({"max_items": 0}, [], ALLOWED),
        ({"max_items": 2}, None, ALLOWED),
        ({"max_items": 0}, None, OTHER),
        ({"max_items": 2, "max_length": 1}, ["a", "b"], ALLOWED),
        ({"max_items": 2, "max_length": 1}, ["a", "b", "c"], OTHER),
    ],
)
def test_lengths(demand, value, expected):
    assert answer({"a": demand}, {"a": value}) == expected


HOSTS = {"hosts": ["api.example.com", "*.cdn.example.com", "10.0.0.1:8080"]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://api.example.com/v1?x=1", ALLOWED),
        ("https://img.cdn.example.com/", ALLOWED),
        ("http://10.0.0.1:8080/", ALLOWED),
        ("https://evil.com/", OTHER),
        ("https://api.example.com.evil.com/", OTHER),
        ("https://evil.com/https:/api.example.com", OTHER),
        ("https://evil.com/?https:/api.example.com", OTHER),
        ("https://cdn.example.com/", OTHER),
        ("http://10.0.0.1/", OTHER),
        ("https://api.example.com:8443/", UNCLEAR),
        ("https://evil.com#@api.example.com", UNCLEAR),
        ("https://api.example.com@evil.com/", UNCLEAR),
        ("https://evil.com\\@api.example.com", UNCLEAR),
        ("https:evil.com", UNCLEAR),
        ("javascript:fetch('https://api.example.com')", UNCLEAR),
        ("see https://api.example.com", UNCLEAR),
        ("http://167772161:8080/", UNCLEAR),
        ("", UNCLEAR),
        (7, UNCLEAR),
        (None, OTHER),
        ({"url": "https://api.example.com"}, UNCLEAR),
        (["https://api.example.com/", "https://a.cdn.example.com"], ALLOWED),
        (["https://api.example.com/", "https://evil.com"], (False, False)),
        (["https://evil.com", "x y"], UNCLEAR),
        ([["https://api.example.com"]], UNCLEAR),
    ],
)
def test_hosts(value, expected):
    assert answer({"a": HOSTS}, {"a": value}) == expected


PEOPLE = {"recipients": ["dana@corp.example", "@team.example"]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("dana@corp.example", ALLOWED),
        ("DANA@CORP.EXAMPLE", ALLOWED),
        ("Dana <dana@corp.example>", ALLOWED),
        ("anyone@team.example", ALLOWED),
        ("dana@corp.example, anyone@team.example", ALLOWED),
        ("eve@corp.example", OTHER),
        ("dana+eve@corp.example", OTHER),
        ("dana@corp.example.evil.com", OTHER),
        ("x@sub.team.example", OTHER),
        ("dana@team.example.evil.com", OTHER),
        ("eve@evil.com, mallory@evil.com", OTHER),
        ("dana@corp.example, eve@evil.com", UNCLEAR),
        ("eve@evil.com; dana@corp.example", UNCLEAR),
        ("dana@corp.example <eve@evil.com>", UNCLEAR),
        ('"dana@corp.example" <eve@evil.com>', UNCLEAR),
        ("dana@corp.example (eve@evil.com)", UNCLEAR),
        ("team: dana@corp.example;", UNCLEAR),
        ("dana@corp.example\r\nBcc: eve@evil.com", UNCLEAR),
        ("eve%evil.com@team.example", UNCLEAR),
        ("", UNCLEAR),
        (7, UNCLEAR),
        (None, OTHER),
        (["dana@corp.example", "x@team.example"], ALLOWED),
        (["dana@corp.example", "eve@evil.com"], (False, False)),
        (["dana@corp.example, eve@evil.com"], UNCLEAR),
        ([{"email": "dana@corp.example"}], UNCLEAR),
    ],
)
def test_recipients(value, expected):
    assert answer({"a": PEOPLE}, {"a": value}) == expected


@pytest.fixture
def project(tmp_path):
    root = tmp_path.resolve() / "project"
    (root / "out").mkdir(parents=True)
    (root / "a.txt").write_text("a")
    (root / "to-file").symlink_to("a.txt")
    (root / "to-parent").symlink_to("..")
    (root / "dangling").symlink_to("../later")
    (root / "dangling-inside").symlink_to("later")
    (root.parent / "project-evil").mkdir()
    (root.parent / "secret").write_text("canary")
    return root


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a.txt", ALLOWED),
        ("{project}/a.txt", ALLOWED),
        ("{project}", ALLOWED),
        ("{project}/", ALLOWED),
        (".", ALLOWED),
        ("out/../a.txt", ALLOWED),
        ("not/there/yet", ALLOWED),
        ("to-file", ALLOWED),
        ("dangling-inside", ALLOWED),
        ("{project}-evil/x", OTHER),
        ("{project}/../project-evil", OTHER),
        ("../secret", OTHER),
        ("out/../../secret", OTHER),
        ("/etc/passwd", OTHER),
        ("//etc/passwd", OTHER),
        ("to-parent/secret", OTHER),
        ("dangling", OTHER),
        ("/", OTHER),
        ("..", OTHER),
        ("to-parent/../a.txt", UNCLEAR),
        ("a.txt\0", UNCLEAR),
        ("~/a.txt", UNCLEAR),
        ("$PWD/a.txt", UNCLEAR),
        ("file:a.txt", UNCLEAR),
        ("file://{project}/a.txt", UNCLEAR),
        (" /etc/passwd", UNCLEAR),
        (7, UNCLEAR),
        (None, OTHER),
        ({"path": "a.txt"}, UNCLEAR),
        (["a.txt", "out"], ALLOWED),
        (["a.txt", "../secret"], (False, False)),
        (["a.txt", "~"], (False, False)),
        (["../secret", "~"], UNCLEAR),
        (["a.txt", 7], (False, False)),
        ([["a.txt"]], UNCLEAR),
    ],
)
def test_paths(project, value, expected):
    def placed(value):
        return value.format(project=project) if isinstance(value, str) else value

    assert answer({"a": {"under": ["."]}}, {"a": placed(value)}, project) == expected


def test_several_roots_and_the_whole_file_system(project):
    assert answer({"a": {"under": ["out", "/etc"]}}, {"a": "/etc/x"}, project) == ALLOWED
    assert answer({"a": {"under": ["out", "/etc"]}}, {"a": "a.txt"}, project) == OTHER
    assert answer({"a": {"under": ["/"]}}, {"a": "/etc/x"}, project) == ALLOWED
    assert answer({"a": {"under": ["/"]}}, {"a": "/"}, project) == ALLOWED


def test_a_root_that_is_a_link_is_the_folder_that_it_leads_to(project):
    (project / "link").symlink_to("out")
    assert answer({"a": {"under": ["link"]}}, {"a": "out/x"}, project) == ALLOWED


def test_a_relative_path_starts_at_the_connector_s_directory(project):
    """The roots start at the policy's own folder, and arguments where the tool works."""
    policy = rules(
        {"effect": "allow", "args": {"a": {"under": ["out"]}}}, folder=project, directory="out/deep"
    )
    assert runs(policy, {"a": "x"})
    assert runs(policy, {"a": "../x"})
    assert not runs(policy, {"a": "../../a.txt"})


PATH = {"under": ["/srv"]}


@pytest.mark.parametrize(
    ("optional", "arguments", "expected"),
    [
        (False, {}, OTHER),
        (True, {}, ALLOWED),
        (False, {"a": []}, OTHER),
        (True, {"a": []}, ALLOWED),
        (False, {"a": None}, OTHER),
        (True, {"a": None}, ALLOWED),
        (True, {"a": "/etc"}, OTHER),
        (True, {"a": ""}, OTHER),
        (True, {"A": "/etc"}, ALLOWED),
        (False, {"A": "/srv/x"}, OTHER),
        (True, {"a": [None]}, UNCLEAR),
    ],
)
def test_an_argument_may_be_absent_only_where_the_rule_says_so(optional, arguments, expected):
    assert answer({"a": PATH | {"optional": optional}}, arguments) == expected


@pytest.mark.parametrize(
    ("optional", "arguments", "expected"),
    [
        (False, {"o": {"a": {"p": "/srv/x"}}}, ALLOWED),
        (False, {"o": {"a": {"p": "/etc/x"}}}, OTHER),
        (False, {"o": {"a": {}}}, OTHER),
        (True, {"o": {"a": {}}}, ALLOWED),
        (True, {"o": {}}, ALLOWED),
        (True, {}, ALLOWED),
        (True, {"o": {"a": None}}, ALLOWED),
        (False, {"o": None}, OTHER),
        # something else stands on the way: a tool may read it in its own manner
        (True, {"o": [{"a": {"p": "/etc/x"}}]}, UNCLEAR),
        (True, {"o": '{"a": {"p": "/etc/x"}}'}, UNCLEAR),
        (False, {"o": {"a": [{"p": "/srv/x"}]}}, UNCLEAR),
        (True, {"o": {"a": 7}}, UNCLEAR),
        # an argument of that very name: a tool may mean either
        (True, {"o.a.p": "/etc/x"}, UNCLEAR),
        (True, {"o": {"a": {"p": "/srv/x"}}, "o.a.p": "/etc/x"}, UNCLEAR),
    ],
)
def test_arguments_inside_arguments(optional, arguments, expected):
    assert answer({"o.a.p": PATH | {"optional": optional}}, arguments) == expected


def test_an_argument_inside_another_and_one_of_its_whole_name_are_two():
    assert answer({"o.p": PATH | {"optional": True}}, {"o": {"p": "/srv/x"}}) == ALLOWED
    assert answer({"o.p": PATH | {"optional": True}}, {"o.p": "/srv/x"}) == UNCLEAR


def test_all_demands_on_one_argument_must_hold():
    demand = {"a": {"pattern": "/srv/.*", "under": ["/srv"], "max_length": 20}}
    assert answer(demand, {"a": "/srv/x"}) == ALLOWED
    assert answer(demand, {"a": "/srv/../etc/passwd"}) == OTHER
    assert answer(demand, {"a": "/srv/" + "x" * 20}) == OTHER


def test_all_arguments_must_be_as_demanded():
    demands = {"a": {"enum": ["x"]}, "b": {"maximum": 1}}
    assert answer(demands, {"a": "x", "b": 1}) == ALLOWED
    assert answer(demands, {"a": "x", "b": 2}) == OTHER
    assert answer(demands, {"a": "x", "b": "1"}) == UNCLEAR
    assert answer(demands, {"a": "y", "b": "1"}) == OTHER


def test_a_refusal_says_what_was_expected_of_which_argument():
    policy = rules(
        {
            "effect": "allow",
            "args": {
                "p.q": {"under": ["/srv", "/opt"]},
                "u": {"hosts": ["a.b", "*.c.d"]},
                "m": {"recipients": ["@x.y"], "max_items": 2},
                "n": {"minimum": 1, "maximum": 123456789.5},
                "lo": {"minimum": 0.01},
                "e": {"enum": [1, "a", None, True]},
                "s": {"pattern": "[a-z]+", "max_length": 9},
            },
        }
    )
    verdict = policy.decide(ToolCall.of("files", "tool", {}), {})
    assert isinstance(verdict, Deny)
    assert verdict.denied.reason is Reason.CONSTRAINT
    assert verdict.denied.message == (
        "files.tool: p.q must lead to somewhere under /srv or /opt; u must be a URL of a.b or *.c.d; "
        "m must go to @x.y only and have at most 2 members; n must be a number from 1 up to 123456789.5; "
        'lo must be a number from 0.01; e must be one of 1, "a", null, true; '
        "s must match [a-z]+ and be text of at most 9 characters"
    )
