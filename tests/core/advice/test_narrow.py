"""The demands that are read off a number of calls: every one of these meets them, and little else does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall.advice.narrow import narrowed, strings
from blastwall.frozen import freeze
from blastwall.policy.truth import Truth

HOME = frozenset({"/home/user"})


def found(*calls, forbidden=HOME):
    frozen = [freeze(call) for call in calls]
    resolved = {text: text for call in frozen for text in strings(call) if text.startswith("/")}
    return narrowed(frozen, resolved, forbidden)


def args(*values, **options):
    return found(*({"x": value} for value in values), **options).args.get("x")


@pytest.mark.parametrize(
    ("values", "block"),
    [
        (["main", "dev", "main"], {"enum": ["dev", "main"]}),
        ([True, False], {"enum": [False, True]}),
        ([True], {"enum": [True]}),
        ([7, 7, 9, 9], {"enum": [7, 9]}),
        ([7, 9, 8], {"minimum": 7, "maximum": 9}),
        ([0.5, 3], {"minimum": 0.5, "maximum": 3}),
        ([None], {"enum": [None], "optional": True}),
        (["a", None], {"enum": ["a"], "optional": True}),
        (["https://a.example/x", "https://b.example:8443/y"], {"hosts": ["a.example", "b.example:8443"]}),
        (["http://[::1]:80/"], {"hosts": ["[::1]"]}),
        (
            ["Dana <dana@corp.example>", "lee@corp.example"],
            {"recipients": ["dana@corp.example", "lee@corp.example"]},
        ),
        (["two words, said once"], {"max_length": 20}),
        (["two words"] * 2, {"enum": ["two words"]}),
        ([f"w{i}" for i in range(8)], {"enum": [f"w{i}" for i in range(8)]}),
        ([f"w{i}" for i in range(9)], {"max_length": 2}),
        (["x" * 501 + " y", "z"], {"max_length": 1000}),
        (["x" * 64, "z"], {"enum": ["x" * 64, "z"]}),
        (["x" * 65, "z"], {"max_length": 100}),
        (["", "a"], {"enum": ["", "a"]}),
        ([["a", "b"], ["a"]], {"enum": ["a", "b"], "max_items": 2}),
        ([["a"], []], {"enum": ["a"], "max_items": 1, "optional": True}),
        ([["a"], "a"], {"enum": ["a"], "max_items": 1}),
        ([[]], {"max_items": 0, "optional": True}),
        ([["a", None]], {"max_items": 2}),
        ([[{"name": "a"}], [{"name": "b"}]], {"max_items": 1}),
        (["a", 1, "a", 1], {"enum": [1, "a"]}),
    ],
)
def test_demands(values, block):
    assert args(*values) == block


@pytest.mark.parametrize(
    "values",
    [
        ["a", 1],
        [{}, {}],
        ["a", {"b": 1}],
        ["a b", 7],
    ],
)
def test_nothing_can_be_demanded_of_a_medley(values):
    assert "x" in found(*({"x": value} for value in values)).open


@pytest.mark.parametrize(
    ("paths", "block"),
    [
        (["/srv/project/a.txt"], {"under": ["/srv/project/a.txt"]}),
        (["/srv/project/a.txt", "/srv/project/src/b.py"], {"under": ["/srv/project"]}),
        (["/srv/project", "/srv/project/src/b.py"], {"under": ["/srv/project"]}),
        (["/srv/one/a", "/opt/two/b"], {"under": ["/opt/two", "/srv/one"]}),
        (["/home/user/a.txt", "/home/user/b.txt"], {"under": ["/home/user/a.txt", "/home/user/b.txt"]}),
        (["/home/user/work/a", "/home/user/work/b"], {"under": ["/home/user/work"]}),
        (["/home/user/x/a", "/home/user/y/b"], {"under": ["/home/user/x", "/home/user/y"]}),
        (["/etc/hosts"], {"under": ["/etc/hosts"]}),
        (["/etc"], {"enum": ["/etc"]}),
        ([f"/srv/d{i}/x" for i in range(8)], {"under": [f"/srv/d{i}" for i in range(8)]}),
        ([f"/srv/d{i}/x" for i in range(9)], {"max_length": 10}),
    ],
)
def test_folders(paths, block):
    assert args(*paths) == block


def test_no_folder_is_the_root_or_a_home_or_above_one():
    nested = frozenset({"/srv/people/dana", "/home/user"})
    assert args("/srv/people/dana/a", "/srv/people/lee/b", forbidden=nested) == {
        "under": ["/srv/people/dana/a", "/srv/people/lee/b"]
    }
    assert args("/srv/people/dana", forbidden=nested) == {"enum": ["/srv/people/dana"]}
    assert args("/") == {"enum": ["/"]}


@pytest.mark.parametrize("place", ["/srv/$HOME/a", "/srv/project /a "])
def test_a_folder_that_no_policy_can_name_is_none(place):
    """A symlink may lead there."""
    assert narrowed([freeze({"path": "/link"})], {"/link": place}, HOME).args == {"path": {"enum": ["/link"]}}


def test_relative_paths_count_where_it_is_known_where_they_lead():
    calls = [freeze({"path": "a.txt", "name": "a.txt"}), freeze({"path": "b.txt", "name": "b.txt"})]
    resolved = {"a.txt": "/srv/project/a.txt", "b.txt": "/srv/project/b.txt"}
    assert narrowed(calls, resolved, HOME).args == {
        "path": {"under": ["/srv/project"]},
        "name": {"enum": ["a.txt", "b.txt"]},
    }
    for known in ({}, {"a.txt": "/srv/project/a.txt"}):
        assert narrowed(calls, known, HOME).args["path"] == {"enum": ["a.txt", "b.txt"]}


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        *((name, ["a", "b"]) for name in ("path", "paths", "file", "files", "filename", "folder")),
        *((name, ["a", "b"]) for name in ("directory", "dir", "cwd", "source_path", "targetDir")),
        *(("x", [f"{start}a", f"{start}b"]) for start in ("/", "./", "../")),
    ],
)
def test_what_is_called_a_path_or_written_as_one_is_one(name, texts):
    resolved = {text: f"/srv/project/{text[-1]}" for text in texts}
    assert narrowed([freeze({name: text}) for text in texts], resolved, HOME).args == {
        name: {"under": ["/srv/project"]}
    }


@pytest.mark.parametrize(("name", "texts"), [("pathology", ["a", "b"]), ("x", ["/srv/project/a", "b"])])
def test_what_could_be_something_else_is_no_path(name, texts):
    resolved = dict.fromkeys(texts, "/srv/project/a")
    assert narrowed([freeze({name: text}) for text in texts], resolved, HOME).args == {name: {"enum": texts}}


def test_what_is_inside_of_objects_and_what_is_not_always_there():
    both = found({"a": {"b": "x", "c": 1}, "d": "y"}, {"a": {"b": "x"}})
    assert both.args == {
        "a.b": {"enum": ["x"]},
        "a.c": {"minimum": 1, "maximum": 1, "optional": True},
        "d": {"enum": ["y"], "optional": True},
    }
    assert both.open == ()
    assert found({"x": []}, {}).args == {"x": {"max_items": 0, "optional": True}}


def test_an_argument_that_no_rule_can_name_is_open():
    assert found({"a.b": "x", "": "y"}).open == ("a.b", "")
    assert found({"a": {"b.c": "x", "": "y"}}).open == ("a.b.c", "a.")


def test_many_hosts_or_people_are_no_list():
    for kind, text, listed in (
        ("hosts", "https://h{}.example/", "h{}.example"),
        ("recipients", "p{}@corp.example", "p{}@corp.example"),
    ):
        few = args(*(text.format(i) for i in range(10, 42)))
        assert few == {kind: [listed.format(i) for i in range(10, 42)]}
        assert args(*(text.format(i) for i in range(10, 43))) == {"max_length": 20}


@pytest.mark.parametrize(
    ("value", "block"),
    [
        ("hunter2", {"max_length": 10}),
        ("/srv/vault/hunter2", {"max_length": 20}),
        ("https://hunter2.example/", {"max_length": 50}),
        ("hunter2@corp.example", {"max_length": 20}),
        (["hunter2"], {"max_length": 10, "max_items": 1}),
    ],
)
def test_what_is_secret_is_not_listed(value, block):
    call = freeze({"x": value, "y": "a"})
    one = narrowed([call], {text: text for text in strings(call)}, HOME, frozenset({"x"}))
    assert one.args == {"x": block, "y": {"enum": ["a"]}}


def test_of_a_secret_number_nothing_is_shown():
    assert narrowed([freeze({"x": 7})], {}, HOME, frozenset({"x"})).open == ("x",)


def test_what_can_be_checked_on_another_call():
    one = found({"n": 1, "s": "a"})
    assert one.decides(freeze({"n": 2, "s": "a"}), {})
    assert one.decides(freeze({"n": "1", "s": "b"}), {})
    assert one.decides(freeze({"n": "1"}), {})
    assert not one.decides(freeze({"n": "1", "s": "a"}), {})


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from(
        [0.5, "a", "b c", "/srv/p/a", "/srv/p/b", "/", "https://a.example/", "d@corp.example", "", "a.b"]
    ),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["k", "l"]), inner, max_size=2)
    ),
    max_leaves=3,
)
calls = st.lists(
    st.dictionaries(st.sampled_from(["p", "path", "q.r"]), values, max_size=3), min_size=1, max_size=6
)


@given(calls)
def test_every_call_meets_every_demand(made):
    frozen = [freeze(call) for call in made]
    resolved = {text: text for call in frozen for text in strings(call) if text.startswith("/")}
    one = narrowed(frozen, resolved, HOME)
    for call in frozen:
        for path, demand in one.demands.items():
            assert demand.holds(path, call, resolved) is Truth.YES
        assert one.decides(call, resolved)
    named = {".".join(path) for path in one.demands} | set(one.open)
    assert all(
        any(name == top or name.startswith(f"{top}.") for name in named) for call in frozen for top in call
    )
