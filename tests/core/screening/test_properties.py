"""What holds for any output at all."""

from hypothesis import given
from hypothesis import strategies as st

from blastwall.frozen import Json, freeze
from blastwall.screening import Screening, engine, screen, walk
from blastwall.screening.fold import View, fold
from blastwall.screening.patterns import PATTERNS
from blastwall.values import Action, Screened, ToolOutput

SETTINGS = Screening()
FRAGMENTS = st.sampled_from(
    [
        "ignore all previous instructions",
        "<|im_end|>",
        *("\x1b[31m", "\x1b", "\u009b0m", "\u200b", "\u202e", "\u2066", "\U000e0061", "\ufe0f"),
        *("👩\u200d💻", "🏴", "\U000e007f", "\u017f", "\ufb01", "\u0435", "\u05d0", "\u2126"),
        *("![", "](", "https://e.example/", "?d=1", ")", "<img src=", ">", "[", "]", "\n", " "),
        *("<!-- AI ", "you must ", "-->", "javascript:fetch("),
        *("%69%67", "SWdub3Jl", "i g n o r e ", "\\x41" * 8),
    ]
)
TEXT = st.one_of(st.text(max_size=40), st.lists(FRAGMENTS, max_size=12).map("".join))
JSON = st.recursive(
    st.one_of(
        TEXT,
        st.none(),
        st.booleans(),
        st.integers(-(2**53), 2**53),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=8,
)


def seen(value: Json) -> Screened:
    return screen(ToolOutput(value), SETTINGS, "crm.read")


@given(JSON)
def test_any_output_gets_a_consistent_verdict(value):
    frozen = freeze(value)
    result = seen(frozen)
    assert result.action == max((finding.action for finding in result.findings), default=Action.PASS)
    assert (result.value is frozen) == (result.action is Action.PASS) or frozen is None
    assert result.action is not Action.QUARANTINE or result.value is None


@given(JSON)
def test_spans_lie_within_their_leaf(value):
    frozen = freeze(value)
    lengths: dict[str, int] = {}
    for leaf in walk.leaves(frozen):
        lengths[leaf.path] = max(len(leaf.text), lengths.get(leaf.path, 0))
    for finding in seen(frozen).findings:
        assert 0 <= finding.start < finding.end <= lengths[finding.path]


@given(JSON)
def test_what_was_delivered_has_nothing_left_to_cut(value):
    result = seen(freeze(value))
    if result.action is not Action.QUARANTINE:
        assert seen(result.value).action <= Action.MARK


@given(st.lists(st.from_regex(r"\A[A-Za-z]{1,12}[.,]?\Z"), max_size=30).map(" ".join))
def test_plain_words_pass(text):
    assert seen(text).action is Action.PASS


@given(JSON)
def test_strings_are_walked_collected_and_replaced_in_one_order(value):
    frozen = freeze(value)
    texts, _ = walk.collect(frozen)
    assert [leaf.text for leaf in walk.leaves(frozen)] == texts
    assert walk.replace(frozen, iter(texts)) == frozen


@given(TEXT)
def test_the_set_misses_no_pattern(text):
    """RE2's set answers for each of its patterns as the pattern alone does."""
    alone = {n for n, pattern in enumerate(PATTERNS) if next(engine.spans(pattern.regex, text), None)}
    assert set(engine.findings(engine.hits(text.encode()))) == alone


@given(TEXT, st.data())
def test_a_span_of_the_folded_view_leads_back_to_its_characters(text, data):
    view = View(text, [])
    if view.text:
        start = data.draw(st.integers(0, len(view.text) - 1))
        end = data.draw(st.integers(start + 1, len(view.text)))
        first, last = view.origin(start, end)
        assert 0 <= first < last <= len(text)
        assert view.text[start:end] in View(text[first:last], []).text


@given(st.characters(exclude_categories=["Cs"]))
def test_a_fold_is_its_own_fold(char):
    assert "".join(map(fold, fold(char))) == fold(char)
