"""Addresses of images: those that say how to show it, and those that could carry something away."""

import pytest

from blastwall.screening.links import is_presentation


def image(rest):
    return f"![x](https://e.example/{rest})"


@pytest.mark.parametrize(
    "rest",
    [
        "b.svg?branch=main",
        "b.svg?STYLE=flat&logo=python",
        "b.svg?style=flat&amp;logo=python",
        "b.svg?raw",
        "b.svg?v=a=b",
        f"b.svg?label={'a' * 40}",
        f"{'a' * 47}?v=4",
    ],
)
def test_a_usual_parameter_only_says_how_to_show_it(rest):
    assert is_presentation(image(rest))


@pytest.mark.parametrize(
    "rest",
    [
        "b.svg",
        "b.svg?d=SECRET",
        "b.svg?style=flat&d=SECRET",
        "b.svg?style=flat&amp;d=SECRET",
        "b.svg?style=flat?d=SECRET",
        f"b.svg?label={'a' * 41}",
        f"{'a' * 48}?v=4",
    ],
)
def test_any_other_may_carry_something(rest):
    assert not is_presentation(image(rest))
