import pytest

from blastwall.policy.records import Records

PEOPLE = Records.of("people", ["Dana@Corp.example", "@corp.example", "DE89370400440532013000", "#general"])


@pytest.mark.parametrize(
    "value",
    [
        "dana@corp.example",
        "DANA@corp.example",
        "eve@corp.example",
        "Dana <dana@corp.example>, eve@CORP.example",
        "DE89370400440532013000",
        "#general",
    ],
)
def test_a_listed_value_is_covered(value):
    assert PEOPLE.covers(value)


@pytest.mark.parametrize(
    "value",
    [
        "dana@corp.example.evil.example",
        "eve@evil.example",
        "eve@evil.example, dana@corp.example",
        "@corp.example",
        "corp.example",
        "DE8937040044053201300",
        "",
        True,
        None,
        42,
        (),
    ],
)
def test_anything_else_is_not(value):
    assert not PEOPLE.covers(value)


def test_a_number_is_covered_by_its_text():
    assert Records.of("ids", ["42"]).covers(42)
    assert not Records.of("ids", ["1"]).covers(True)
