"""How verbs behave in a sentence: which may be nouns, which say little, which go to somebody."""

from blastwall.provenance.english import nouns
from blastwall.provenance.english.verbs import CLASSES, Kind

NOUNS_TOO = frozenset(
    """
    access act address aim alert answer archive arm auction backup ban bash bid bin blog block book
    bookmark boot break build call cat change charge chat check checkout clone close comment commit
    compile contact control copy cost count cover delay deal deposit design diff display dm draft drive
    drop dump email empty end export fall feed file fill find fire fix flag follow fork form forward fund
    glob grant guess handle head help hire hold hope hover import install invite issue judge junk key
    label land lead leave like limit link list load lock log login logout look love mail map mark match
    merge message mirror mix model monitor move mute name need new note notice offer open order pair park
    patch pause pay phone picture pin ping place plan play plot point poll post present press preview
    print process produce program project promise pull purchase push query question quote raise rank rate
    reach read rebase record redirect refund register release rent repeat reply report request research
    reset rest restart return review reward ring roll run save scan schedule scope score search secure
    select sell set shape share shell shift ship shop show sign signup sms snooze sort sound split spread
    squash stage star start stash state stay stop store study suit supply support surf swap switch sync
    tag tail talk tap task team test text thank tie time tip title toast toggle toot touch trade transfer
    trash travel trigger trim trip trust try tune turn tweet type upgrade update upload use value view
    visit void vote wait walk watch water wind wire wish work wrap
    """.split()
)
"""Verbs that are as often nouns: at the start of a clause they count only if an object follows."""

RARELY_NOUNS = frozenset(
    """
    answer archive close empty forward install merge pay pull push reply reset restart return run save share
    sign start stop sync update upgrade upload
    """.split()
)
"""Those of them that are verbs where nothing follows: "read it and reply"."""

ALL_OF_IT = frozenset("clean clear empty purge flush prune tidy weed declutter".split())
"""Verbs that mean whatever their object holds: no number bounds them."""

ADDRESSED = frozenset(("write", "say", "ask")).union(
    verb
    for row in CLASSES
    if row.name in "send reply forward publish comment share pay grant invite submit".split()
    for verb in row.verbs
) - frozenset("remove delete move add put".split())
"""Verbs whose "to" names whom something goes to: each of them may take one call."""

FILLING = frozenset(verb for row in CLASSES if row.kind is Kind.WRITE for verb in row.verbs) - frozenset(
    verb for row in CLASSES if row.kind is Kind.DESTRUCTIVE for verb in row.verbs
)
"""Verbs that do something to what they put a thing into: "change my address in the profile"."""

_MESSAGES = frozenset(
    """
    reply replies response responses answer answers invite invites invitation invitations message messages
    email emails mail mails text texts sms dm notification notifications reminder reminders payment payments
    transfer transfers request requests tweet tweets comment comments post posts review reviews
    """.split()
)
_ANY = frozenset[str]()
LIGHT = dict.fromkeys(
    "make do perform place execute initiate issue process arrange carry submit".split(), _ANY
)
LIGHT |= dict.fromkeys("send write drop shoot leave put post".split(), _MESSAGES)
LIGHT |= {"give": _MESSAGES | {"refund", "refunds", "call"}}
"""Verbs that say little: their noun is what is asked for ("make a transfer"). None listed: any noun."""

PREPOSITIONS_OF = {
    "answer": ("to",),
    "apply": ("for", "to"),
    "ask": ("for",),
    "back": ("up",),
    "call": ("off",),
    "check": ("for", "in", "on", "out"),
    "clean": ("up", "out"),
    "comment": ("on",),
    "log": ("in", "into", "out", "off"),
    "look": ("for", "at", "up", "in", "into", "through"),
    "pay": ("for",),
    "post": ("to", "in", "on"),
    "reply": ("to",),
    "search": ("for", "in", "my"),
    "sign": ("up", "in", "out", "off"),
}
"""What a verb that may be a noun takes behind it, where that is more than "to"."""

SAYING = frozenset("ask say tell thank wish congratulate apologise apologize inform answer".split()) | {
    "let know"
}
"""Verbs that go on with a message asked for before ("write to Bob and ask for the slides"), and that mean an
answer in this very conversation when it is the user who shall be told."""

_PARTICLES = frozenset("up out off down away back over on in aside".split())
_LISTED = (
    *(verb for row in CLASSES for verb in row.verbs),
    *(verb for row in nouns.CLASSES for verb in row.verbs),
)
PHRASES = frozenset(
    verb for verb in _LISTED if verb.partition(" ")[2] in _PARTICLES and not verb.startswith("write")
) | {
    "pay attention",
    "pay heed",
    "set out",
    "set off",
    "set aside",
    "add up",
    "hold on",
    "put simply",
    "put up",
}
"""Two words that are another verb than the first of them alone: who says "set up" does not say "set"."""
