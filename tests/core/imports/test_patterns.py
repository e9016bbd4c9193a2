"""What a pattern becomes: never less than it may mean."""

import re

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st
from tests.core.imports.sources import DIRECTORY, HOME, absolute

from blastwall.imports.paths import Anchors, allowed, reached, spellings
from blastwall.imports.patterns import certain, compiles, either, globbed, quoted
from blastwall.imports.shell import names_files, plain, reach, reaches

ANCHORS = Anchors(DIRECTORY, HOME, DIRECTORY)


@given(st.text())
def test_a_quoted_text_matches_itself_only(text):
    assert re2.fullmatch(quoted(text), text)
    assert not re2.fullmatch(quoted(text), text + "x")


@pytest.mark.parametrize(
    "pattern",
    ["git (commit|push)", "rm\\s+-rf", "npm run", "a+b?", "(?:x|y)z", "\\bgit\\b", "rm .*x", "a\\.b"],
)
def test_a_certain_pattern_finds_at_least_what_it_found(pattern):
    ours = certain(pattern)
    for text in (
        "git push",
        "rm  -rf x",
        "rm\u00a0-rf",
        "npm run x",
        "aab",
        "xz",
        "my git is",
        "rm a x",
        "a.b",
        "axb",
    ):
        if re.search(pattern, text):
            assert re2.fullmatch(ours, text)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "(?!x)",
        "(?=x)",
        "(?i)x",
        "a|b",
        "a.b",
        "[a-z]",
        "a{2}",
        "^x",
        "x$",
        '"x"',
        "(a.*b)",
        ".*",
        "(",
        "\\1",
        "a\\d",
    ],
)
def test_an_uncertain_pattern_is_nothing(pattern):
    assert certain(pattern) is None


def test_what_stands_behind_any_text_is_left_out():
    assert certain("rm .*-rf") == "(?s).*(?:rm ).*"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("(?s)a", "(?s)b"),
        ("(?s)(?:a|b)", "(?s)c(d|e)"),
        ("(?is)(?:.*/)?a(?:/.*)?", "(?is)(?:.*/)?(?:b|c)(?:/.*)?"),
        ("(?is)(?:.*/)?a(?:/.*)?/b(?:/.*)?", "(?is)(?:.*/)?c(?:/.*)?"),
    ],
)
def test_either_of_two_patterns(one, other):
    whole = either(one, other)
    assert compiles(whole)
    for text in ("a", "b", "c", "cd", "x/a/y", "x/b", "a/b", "a/z/b", "d", ""):
        assert bool(re2.fullmatch(whole, text)) == bool(
            re2.fullmatch(one, text) or re2.fullmatch(other, text)
        )


def test_a_glob():
    assert re2.fullmatch(globbed("a*.b"), "axx\n.b")
    assert not re2.fullmatch(globbed("a*.b"), "axxxb")


@pytest.mark.parametrize(
    "command", ["npm run build", "make -j4 all", "./gradlew test", "go test ./...", "x a=b"]
)
def test_plain_commands(command):
    assert plain(command)


@pytest.mark.parametrize(
    "command",
    ["", "a; b", "a && b", "a | b", "a > b", "a $X", "a `b`", 'a "b"', "a\nb", "A=1 b", "a  b", "a *", "rm x", "sudo x",
     "/bin/rm x", "bash x", "npx x", "python x.py", "a\\b", "find x", "a ~", " a", "a ", "é"],
)  # fmt: skip
def test_commands_that_are_not_plain(command):
    assert not plain(command)


def test_commands_that_name_files():
    assert names_files("cat x")
    assert names_files("/bin/cat x")
    assert not names_files("make cat")


@pytest.mark.parametrize(
    ("pattern", "command", "found"),
    [
        ("rm *", "rm -rf x", True),
        ("rm *", "rm", True),
        ("rm *", "cd a && rm b", True),
        ("rm *", "timeout 5 rm b", True),
        ("rm *", "npm run format", False),
        ("git push *", "git  -C x push", True),
        ("git push *", "git pull", False),
        ("ls*", "lsof", True),
        ("* main", "git push origin main", True),
        ("npm run build", "npm run build", True),
        ("npm run build", "npm run builder", False),
        ("./x *", "cd y; ./x", True),
        ("echo é*", "echo éa", True),
        ("a\x01b", "a\x01b", True),
    ],
)
def test_what_a_command_pattern_reaches(pattern, command, found):
    assert reaches([reach(pattern)], command) is found


def test_any_command_is_reached_by_nothing_said():
    assert reach("*") is None
    assert reach(" ") is None
    assert reaches([None], "x")
    assert not reaches([], "x")


@pytest.mark.parametrize(
    ("pattern", "folder"),
    [
        ("src/**", f"{DIRECTORY}/src"),
        ("./src/a.py", f"{DIRECTORY}/src/a.py"),
        ("/src/**", f"{DIRECTORY}/src"),
        ("//etc/**", "/etc"),
        ("~/.ssh/**", f"{HOME}/.ssh"),
        ("~/**", HOME),
        ("//**", "/"),
        ("**", DIRECTORY),
        ("./", DIRECTORY),
        ("README.md", f"{DIRECTORY}/README.md"),
        ("*.py", None),
        ("src/*/x", None),
        ("src/**/x", None),
        ("../x", None),
        ("!x", None),
        ("~bob/x", None),
        ("", None),
        ("x[ab]", None),
        ("x\\*", None),
    ],
)
def test_what_an_allow_rule_names(pattern, folder):
    assert allowed(pattern, ANCHORS) == folder


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("secrets/**", "secrets/key"),
        ("secrets/**", "a/secrets/key"),
        (".env", "a/b/.env"),
        ("*.pem", "a/b.pem"),
        ("src/*.pem", "src/x.pem"),
        ("/src/deep/**", "src/./deep/x"),
        ("/src/deep/**", "src/x/../deep/x"),
        ("//etc/ssh/**", "/etc/ssh/key"),
        ("//etc/ssh/**", "../../../etc/ssh/key"),
        ("~/.ssh/**", "../.ssh/id"),
        ("src/?.py", "src/a.py"),
        ("src/[ab].py", "src/a.py"),
        ("src/\\*.py", "src/*.py"),
        ("SRC/**", "src/a"),
    ],
)
def test_what_a_deny_rule_reaches(pattern, path):
    assert re2.fullmatch(reached(pattern, ANCHORS).spelt, path)


@pytest.mark.parametrize("pattern", ["/**", "**", "//home/**", "../x", "!x", "", "*", "**/*"])
def test_a_deny_rule_that_may_mean_every_path(pattern):
    assert reached(pattern, ANCHORS).spelt is None


def test_what_a_deny_rule_names_as_a_whole():
    assert reached("/secrets/**", ANCHORS).whole
    assert not reached("secrets/**", ANCHORS).whole
    assert reached("secrets/**", ANCHORS).folder == f"{DIRECTORY}/secrets"
    assert reached("*.pem", ANCHORS).folder is None


@pytest.mark.parametrize(
    ("folder", "path", "fits"),
    [
        (f"{DIRECTORY}/src", "src/a", True),
        (f"{DIRECTORY}/src", "./src", True),
        (f"{DIRECTORY}/src", f"{DIRECTORY}/src/a/b", True),
        (f"{DIRECTORY}/src", "srcs/a", False),
        (f"{DIRECTORY}/src", "x/src/a", False),
        (f"{DIRECTORY}/src", f"{HOME}/elsewhere/a", False),
        (DIRECTORY, "anything", True),
        (DIRECTORY, f"{DIRECTORY}/a", True),
        (DIRECTORY, "/etc/passwd", False),
        (DIRECTORY, "~/x", False),
        ("/etc", "/etc/passwd", True),
        ("/etc", "etc/passwd", False),
        ("/", "/etc/passwd", True),
    ],
)
def test_how_a_path_into_a_folder_is_written(folder, path, fits):
    assert bool(re2.fullmatch(spellings(folder, DIRECTORY), path)) is fits


@given(
    st.sampled_from(["src", "docs/a", "a b", "ü", "x+y", "(z)"]),
    st.sampled_from(["", "/", "/k", "/../k", "/./k"]),
)
def test_every_plain_way_into_a_folder_fits(folder, rest):
    for path in (folder + rest, f"./{folder}{rest}", absolute(folder) + rest):
        assert re2.fullmatch(spellings(absolute(folder), DIRECTORY), path)
