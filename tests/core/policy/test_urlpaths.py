"""Paths of URLs: one reading, or none; and globs over them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall.policy import urlpaths


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
def test_a_path_has_one_reading(text):
    read = urlpaths.path("/" + text)
    if read is not None:
        assert urlpaths.path(read) == read
        assert not {".", ".."} & set(read.split("/"))
        assert "//" not in read
        assert "\\" not in read


@pytest.mark.parametrize(
    "text", ["", "x", "/a b", "/a\0", "/é", "/%zz", "/%", "/a/.", "/./a", "/..", "/%2E", "/%00", "/a%3bb"]
)
def test_paths_that_are_none(text):
    assert urlpaths.path(text) is None


@pytest.mark.parametrize(
    ("text", "read"), [("/", "/"), ("/a/b;c", "/a/b;c"), ("/%61%2D%7e", "/a-~"), ("/%c3%a9", "/%C3%A9")]
)
def test_letters_that_are_encoded_for_no_reason_are_decoded(text, read):
    assert urlpaths.path(text) == read


@pytest.mark.parametrize(
    ("glob", "path", "meant"),
    [
        ("/simple/*", "/simple/six", True),
        ("/simple/*", "/simple/six/", False),
        ("/simple/**", "/simple/six/", True),
        ("/a?", "/ab", True),
        ("/a?", "/a/", False),
        ("/a.b", "/axb", False),
        ("/**", "/", True),
    ],
)
def test_globs(glob, path, meant):
    assert bool(urlpaths.glob(glob).fullmatch(path)) is meant


@pytest.mark.parametrize("glob", ["", "*", "simple", "/a/../b", "/a?b=c&d=\x00", "//", "/%2e", "/a b"])
def test_globs_that_are_none(glob):
    with pytest.raises(ValueError, match="is no path of a URL"):
        urlpaths.glob(glob)
