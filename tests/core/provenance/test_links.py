"""Links inside texts: as whoever shows the text would make them clickable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall.provenance import links
from blastwall.provenance.links import MOST_LINKS, form, forms


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see https://a.example/b?c=d#e.", ["https://a.example/b?c=d#e"]),
        ("(https://a.example/x_(y)) [https://b.example]", ["https://a.example/x_(y)", "https://b.example"]),
        ("[text](https://a.example/b) ![i](//c.example/d.png)", ["https://a.example/b", "c.example/d.png"]),
        ("[https://a.example](https://b.example)", ["https://a.example", "https://b.example"]),
        (
            '<a href="https://a.example/b">x</a> <img src=https://c.example/d>',
            ["https://a.example/b", "https://c.example/d"],
        ),
        ("www.a.example, and WWW.B.example!", ["www.a.example", "WWW.B.example"]),
        ("a.example/b shop.com co.uk.x", ["a.example/b", "shop.com"]),
        (
            "mail a.b+c@d.example; mailto:e@f.example?subject=x",
            ["a.b+c@d.example", "mailto:e@f.example?subject=x"],
        ),
        ("a@b.example,c@d.example", ["a@b.example", "c@d.example"]),
        (
            "data:text/html,x javascript:alert(1) tel:+491",
            ["data:text/html,x", "javascript:alert(1)", "tel:+491"],
        ),
        (
            "https://x.example/xX x.example/xX max@x.example https://a.example/X",
            ["https://x.example/xX", "x.example/xX", "max@x.example", "https://a.example/X"],
        ),
        ("[https://a.example/x[1]] bit.ly", ["https://a.example/x[1]", "bit.ly"]),
        ("(https://a.example/(x)y)", ["https://a.example/(x)y"]),
        ("3.example/b", ["3.example/b"]),
        ("3.example:80/b", ["3.example:80/b"]),
        ("co.uk.x shop.com", ["shop.com"]),
        ("ftp://x.example/ custom+x://y", ["ftp://x.example/", "custom+x://y"]),
        (
            "https://b\u00fccher.example/\u00fc b\u00fccher.com",
            ["https://b\u00fccher.example/\u00fc", "b\u00fccher.com"],
        ),
        ("report.docx node.js e.g. 11.50 a:b 10:00 and/or src/main.py", []),
        ("", []),
        ("http:// . @", []),
    ],
)
def test_links(text, found):
    assert links(text) == tuple(found)


def test_too_many_links_end_in_one():
    found = links("https://a.example/x " * (MOST_LINKS + 5))
    assert len(found) == MOST_LINKS + 1
    assert found[-1].count("https") == 5


def test_forms_of_links():
    assert forms("www.A.example WWW.a.example/ shop.com") == ["//www.a.example/", "//shop.com/"]
    assert form("javascript:x") == "javascript:x"


@given(st.text("ab.@:/()[]-w htps", max_size=60))
def test_links_stand_in_the_text_in_this_order(text):
    at = 0
    for link in links(text):
        at = text.index(link, at) + len(link)
