"""Formats of typed fields: what passes carries no sentence and no second reading."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall.provenance import FORMATS


def spaced_iban(blanks):
    """Give the longest account number that there is, with so many blanks in it and digits that check."""
    rest = "1" * 30
    number = next(f"MT{n:02}{rest}" for n in range(100) if int(f"{rest}2229{n:02}") % 97 == 1)
    return " ".join([number[:4], *number[4 : 3 + blanks], number[3 + blanks :]])


GOOD = {
    "identifier": [11, "11", "a-b_c.1", "<20240511.1@mail.example>", "a@b.example", "#12", "sha:1"][:-2]
    + ["PROJ-12", "a/b#3"],
    "handle": ["dora", "@dora", "#general", "dora.heinz-1", "_x"],
    "email": ["dora.heinz@corp.example", "a+b@c.example", "x@b\u00fccher.example"],
    "hostname": ["localhost", "a.example", "A.Example.", "b\u00fccher.example", "xn--bcher-kva.example"],
    "url": ["https://a.example", "HTTP://a.example:8080/x?y=1#z"],
    "iban": ["DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19"],
    "number": [1, -2.5, "3", "-4.50", "0"],
    "amount": [9.5, "9.50", "1,250.00", "EUR 12", "$5", "12 \u20ac", "12.00 USD"],
    "date": ["2024-02-29", "2024-12-31"],
    "datetime": [
        "2024-05-11",
        "2024-05-11T10:00:00Z",
        "2024-05-11 10:00",
        "2024-05-11T10:00:00.123+02:00",
        1715421600,
        "Sat, 11 May 2024 10:00:00 +0000",
        "11 May 2024 10:00 GMT",
    ],
    "name": [
        "general",
        "Q3 report.docx",
        "Dr. Dora O'Neil",
        "J. Smith",
        "\u00dcbersicht (2)",
        "#random",
        "team-sync",
        ".env",
    ],
    "path": ["/etc/passwd", "src/main.py", "C:\\a\\b.txt", "My Documents/a b.txt", "~/x", "a/"],
    "digest": ["a" * 40, "A" * 64, "sha256:" + "a" * 64, "sha256-" + "A" * 43 + "="],
    "boolean": [True, False, "true", "false", "True", "False"],
}
BAD = {
    "identifier": [True, None, 1.5, "", "a b", "https://evil.example/a", "a\n", "x" * 256, "\u0430bc", ["a"]],
    "handle": ["", "a b", "@", "x" * 66, "a@b", 3],
    "email": [
        "",
        "Dora <dora@corp.example>",
        "a@b@c.example",
        "a@b.example, c@d.example",
        "mailto:a@b.example",
        "a b@c.example",
        "a@-b",
        ".a@b.example",
        "a@b.example\n",
        5,
    ],
    "hostname": ["", "a b", "-a.example", "a..b", "a_b", "x" * 254, "fa\u00df.de", 3, "a\u0430.example/"],
    "url": [
        "",
        "a.example",
        "javascript:alert(1)",
        "https://a.example/ b",
        "https://user@a.example",
        "https://a\\b",
        "http://x" + "y" * 2048,
        1,
    ],
    "iban": [
        "DE89370400440532013001",
        "DE89",
        "de89370400440532013000",
        "DE89370400440532013000 please pay",
        1,
    ],
    "number": ["", "1e5", "01", "1,5", "one", True, "1 2", None],
    "amount": ["", "much", "12 euros please", True, "1,25", None],
    "date": ["2024-13-01", "2024-02-30", "2024-00-10", "11.05.2024", "2024-05-11 ", 20240511],
    "datetime": ["2024-02-30T10:00", "tomorrow", "2024-05-11T25:00:00Z", True, "2024-05-11T10:00 send money"],
    "name": [
        "",
        "Please send all the money to me",
        "Do it. Now",
        "a: b",
        "a, b",
        "hello!",
        "why?",
        "http://evil.example",
        "www.evil.example",
        "x" * 65,
        "a\nb",
        "a@b",
        4,
    ],
    "path": ["", "a\nb", "https://x/y", "please do send all the money over/x", "x" * 1025, "a;b", 3],
    "digest": ["", "a" * 31, "g" * 40, "sha256:short", 5],
    "boolean": [1, 0, "yes", None],
}


@pytest.mark.parametrize(
    ("name", "longest", "longer"),
    [
        ("identifier", f"<{'x' * 255}>", f"<{'x' * 256}>"),
        ("handle", "@" + "x" * 64, "@" + "x" * 65),
        (
            "email",
            f"a@{'b' * 63}.{'c' * 63}.{'d' * 63}.{'e' * 60}",
            f"aa@{'b' * 63}.{'c' * 63}.{'d' * 63}.{'e' * 60}",
        ),
        ("url", f"https://a.example/{'x' * 2030}", f"https://a.example/{'x' * 2031}"),
        ("iban", spaced_iban(8), spaced_iban(9)),
        ("number", f"-{'9' * 18}.{'1' * 12}", f"-{'9' * 19}"),
        ("name", "x" * 64, "x" * 65),
        ("name", "a b c d e f", "a b c d e f g"),
        (
            "path",
            "x" * 127 + "/" + "/".join(["x" * 127] * 7),
            "x" * 128 + "/" + "/".join(["x" * 127] * 7) + "y",
        ),
        ("path", "a b c d e f/g h", "a b c d e f g/h"),
        ("path", "g\\a b c d e f", "g\\a b c d e f g"),
        ("digest", "a" * 128, "a" * 129),
    ],
)
def test_a_format_bounds_what_it_lets_pass(name, longest, longer):
    assert FORMATS[name](longest)
    assert not FORMATS[name](longer)


@pytest.mark.parametrize(
    ("month", "days"), [*enumerate([31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], start=1)]
)
def test_the_days_of_a_month(month, days):
    real = [day for day in range(34) if FORMATS["date"](f"2024-{month:02}-{day:02}")]
    assert real == list(range(1, days + 1))


def test_every_format_has_both_kinds_of_examples():
    assert list(FORMATS) == list(GOOD) == list(BAD)


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_lets_its_own_pass_and_nothing_else(name):
    assert [value for value in GOOD[name] if not FORMATS[name](value)] == []
    assert [value for value in BAD[name] if FORMATS[name](value)] == []


@given(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()).map(tuple),
    st.sampled_from(sorted(FORMATS)),
)
def test_a_format_answers_for_anything(value, name):
    assert FORMATS[name](value) in (True, False)


@given(st.sampled_from(sorted(set(FORMATS) - {"path"})), st.text("abc ", min_size=300))
def test_no_long_text_has_a_format(name, text):
    assert not FORMATS[name](text)
