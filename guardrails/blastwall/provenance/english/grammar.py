"""How a clause comes to ask for something: a table of states, read word by word from left to right.

A state is a place in a sentence; the kind of the next word leads to the next state. In the states of `ASKING`
a verb is a request. What the table does not know leads to where no verb is one: silence asks for nothing.
"""

from blastwall.provenance.english.forms import BASE, GERUND, NOUN, PAST

OPEN, WEAK, FOREIGN, DENIED = "open", "weak", "foreign", "denied"
"""Moods: what a verb would be that follows after "and". A request; what somebody else does, until a comma or
until the sentence ends; what the user does not want."""

_MOODS = {"+": OPEN, "~": WEAK, "!": FOREIGN, "-": DENIED}

_KINDS = """
skip: also now first firstly next lastly finally only again still really maybe perhaps always second
    secondly third quickly asap too already actually ever even hi hello hey ok okay yes yeah yep thanks
    thank great alright well right there dear oh ah meanwhile afterwards afterward additionally
    furthermore moreover besides anyway hereby last um uh er erm hmm very most today tomorrow tonight
    yourself
voc: assistant agent bot ai computer
please: please kindly just simply
then: then
i: i
we: we
you: you
anyone: someone somebody anyone anybody
me: me myself him her them
us: us
it: it
and: and or nor plus
but: but instead however otherwise rather
so: so therefore hence thus
could: could would
can: can will may might shall
must: must should
do: do
aux: does is are am 's
past: did was were been being had
let's: let's
let: let
want: want need wish require prefer
like: like love appreciate
have: have
get: get
try: try start begin continue proceed remember keep finish manage attempt
trying: trying looking asking hoping wanting needing requesting
think: think guess believe suppose suggest propose
wonder: wondering wonder hope grateful glad happy appreciated
forget: forget hesitate fail neglect
help: help assist
go: go
make: make
sure: sure certain
ensure: ensure
be: be
able: able
fine: fine nice good kind great best better helpful possible important lovely wonderful time enough as
    ideal useful advisable awesome necessary
feel: feel
free: free
goal: goal task job aim objective assignment mission
not: not never
no: no nothing none nobody neither
wh: how what who which whose whom where
why: why
about: about
if: if
sub: when whenever once after before unless until till while because since although though whether without
    given having
that: that
rel: than
according: according
between: between
with: with
by: by
mind: mind
said: said says told tells asked asks wrote writes wants wanted claims claimed requested suggested
    suggests ordered instructed demanded demands recommended recommends thinks
needs: needs has ought
gets: gets
instrument: use using run log access connect
prep: of in on at for from into onto over under through during within against toward towards per
    across around inside outside behind near off regarding concerning via except
det: the a an this these those my your his its our their some any every each all both another
to: to
"""

_ROWS = """
start: according>said free>busy skip|voc|please|comma|then|but|end|and>start i>i we>we you>you
    could|can>modal must>wh do>do aux|past>auxq let's>ask let>let it>it want>wish have|get>cause try>try
    help>help go>ask make>make be>beq ensure>sure feel>feel not>not- no>no wh>wh_first why>why if>if
    sub|by|inf>sub that|det>det verb|like|forget>busy instrument>use so>so+ *>subj
next: skip|voc|please|comma|and|then>next end>start =start
ask: skip|please|comma|you>ask be>beq mind>ger like|want>subj~ help>help have|get>cause make>make try>try
    go>ask let>let not>not- instrument>use ensure>sure feel>feel =busy
modal: you|anyone|we>ask please|skip>modal it>it i>wh! not>not- *>subj~ =subj
i: skip|please|do>i want>wish have>have must>ask could>would can>subj~ aux|past>am not>not- wonder>polite
    think>think =subj
think: that|skip>think we>we you>you it>it =subj
we: =i
you: could|can|must>ask want|needs|have|aux>have skip|please|do>you not>not- =subj
would: like|want|but>wish be>polite skip>would not>not- *>subj~ =subj
am: trying>wish wonder>polite skip>am =subj
have: inf>ask skip>have =subj
wish: inf>ask you|anyone|voc>wish_you skip|please|that>wish not|no>not- help>help it>wish_np =wish_np
wish_you: inf>ask skip|please>wish_you not>not- =wish_np
wish_np: inf>wish_to voc>wish if>if_polite *>wish_np =busy
wish_to: be|get>passive not>not- *>rel! =busy
not: forget>wish+ mind>busy =busy
no: comma>start+ *>busy- end>start
busy: between>rel! that|wh|rel|sub|i|we|if|why>rel by>ger could|can|must|inf>rel! and>next comma>next
    then>next but>start+ so>so+ end>start *>busy
subj: between>rel~ that|wh|rel|sub|i|we|if|why>rel could|can|inf>rel~ must>ought needs|have|want>oblige
    said>said and>next comma>next then>next but>start+ so>so+ end>start *>subj
rel: could|can|must|inf>rel! and>next comma>next then>next but>start+ so>so+ end>start *>rel
said: comma>next! inf|you|could|can|must>rel! det>subj *>said =subj
sub: comma|then>start+ end>start *>sub
if: you>if_you =sub
if_you: could>ask skip>if_you =sub
polite: if|that>if_polite inf>ask you>if_you_polite fine|be|could|can|aux|skip|it|wonder|so|want>polite
    =subj
if_polite: you|anyone>if_you_polite =sub
if_you_polite: could|can>ask skip>if_you_polite =sub
it: could|aux>polite needs|want>oblige =subj
let: us>ask =busy
help: me|us|skip>help inf>ask with>ger not>not- =busy
try: inf>ask with|by>ger skip>try not>not- =busy
cause: you>wh by>busy *>cause =busy
make: sure>sure skip>make =busy
sure: inf|you|we>ask that|skip>sure no|not>not- *>sure_np =busy
sure_np: aux|be|gets|get>sure_be *>sure_np =busy
sure_be: skip>sure_be not>not- =busy
beq: wonder>polite fine|so|skip|able>beq sure>sure inf>ask =busy
feel: free>wish =busy
use: inf>ask *>use =busy
so: skip|please|comma>so could|can>modal let's>ask do>do not>not- end>start verb>busy =rel
do: not>not- you>do_you i|we>wh! skip|please>do verb>busy =busy
do_you: mind>ger =wh
ger: me|us|you|det|skip>ger not>not- *>gerund =busy
gerund: and|comma>ger_next *>gerund =busy
ger_next: =next
det: goal>goal =subj
goal: aux>goal_is =subj
goal_is: inf>ask skip>goal_is not>not- =subj
ought: be|get|gets>passive skip>ought not>not- *>subj~ =subj
oblige: inf>ought not>not- =subj
passive: skip>passive not>not- =subj
wh_first: about>ger =wh
wh: could|can|must|do|inf>wh! and|comma>next so>so+ but>start+ end>start *>wh
why: not>ask do>why_do =wh
why_do: not>why_not =wh
why_not: you|we>ask =wh
auxq: it>polite you>aux_you i|we>wh! =subj
aux_you: able>beq =wh
"""
"""A row for each state: kinds of words, `>`, the next state, and the mood that it brings (`+` open, `~` weak,
`!` foreign, `-` denied). `*` is any other kind; `=` names the row that says the rest.

`start` and `next` begin a clause; `busy` is behind a verb, `subj` behind a noun, `rel` in a clause that tells
of something, `sub` before the comma at which a condition ends. The others are named after the word behind
which they stand, or after what they wait for."""


def _lines(table: str) -> dict[str, str]:
    """Read `name: text` lines, which go on in indented ones."""
    return dict(line.split(": ", 1) for line in table.strip().replace("\n    ", " ").split("\n"))


KIND = {word: kind for kind, words in _lines(_KINDS).items() for word in words.split(" ")}
KIND |= {",": "comma", "\n": "comma", ":": "colon", "\n-": "item", ".": "end", "\n\n": "end"}
"""The kind of each word that has one; every other word is a noun or a verb."""

ASKING = {
    BASE: frozenset(("start", "next", "ger_next", "ask", "help", "do", "so", "wish_you")),
    GERUND: frozenset(("ger", "ger_next", "help", "try", "oblige")),
    PAST: frozenset(("wish", "wish_np", "cause", "passive", "sure_be")),
    NOUN: frozenset(("wish_np",)),
}
"""In which states which form of a verb is a request."""

Step = tuple[str, str | None]
"""The next state, and the mood that it brings, if any."""


def _row(name: str, rows: dict[str, str]) -> dict[str, Step]:
    row: dict[str, Step] = {}
    for part in rows[name].split():
        if part[0] == "=":
            row = _row(part[1:], rows) | row
        else:
            kinds, _, target = part.partition(">")
            mood = _MOODS.get(target[-1])
            row.update(dict.fromkeys(kinds.split("|"), (target if mood is None else target[:-1], mood)))
    return row


TABLE = {name: _row(name, _lines(_ROWS)) for name in _lines(_ROWS)}

_GOVERNED = ("ask", "ought", "wish_to")
EXPECTING = frozenset(name for name, row in TABLE.items() if row.get("inf", ("",))[0] in _GOVERNED)
"""States where "to" is sure to begin an infinitive."""

COMMUNICATING = frozenset(
    """
    write writes wrote writing say says said saying tell tells told telling reply replies replied replying
    answer email message text post comment respond ask asks asked send sends sent mail subject body
    content called titled named caption reads note forward inform notify announce tweet publish word words
    translate summarise summarize proofread rephrase paraphrase explain analyse analyze read review check
    classify document article complaint transcript input data quote
    """.split()
)
"""Words before a colon that make what follows a text, not an order. So they do before "below"."""

GREETINGS = frozenset("hi hello hey dear good greetings".split())

_OPEN_ENDED = frozenset(
    "det prep to not and could can must aux with by about do no be i we you please".split()
)
UNFINISHED = frozenset(word for word, kind in KIND.items() if kind in _OPEN_ENDED) | {"without"}
"""Words after which a line can't end: it goes on in the next one."""
