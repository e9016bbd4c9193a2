"""The index against a tracer that looks through everything: they agree."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.provenance.reference import trace
from tests.core.provenance.sessions import leaf, session

from blastwall.frozen import freeze

WORDS = st.sampled_from(
    "11 13 alice bob Bob 11:00 2024-05-11 11.50 a-b b file-11 id:11 #11 caf\u00e9 cafe b\u043eb x_1 a.b 3,4 3, \u00fcber".split()
)
TEXT = st.lists(WORDS, min_size=1, max_size=6).map(" ".join)
OUTPUT = st.dictionaries(
    st.sampled_from(["id", "name", "note", "body", "password", "open"]), TEXT, max_size=4
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(TEXT, max_size=2),
    st.lists(OUTPUT, max_size=3),
    st.lists(WORDS, min_size=1, max_size=3).map(" ".join),
)
def test_the_index_agrees_with_looking_through_everything(prompts, outputs, value):
    memory = session(*outputs)
    for prompt in prompts:
        memory.begin(prompt)
    found = {"said" if not o.tool else (o.label, o.prose) for o in leaf(memory, value).whole}
    assert found == trace(prompts, freeze(outputs), value)
