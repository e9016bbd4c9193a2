"""Word forms: a verb's inflections, a noun's plural, a number written as a word. Rules and short tables."""

from functools import cache

BASE, THIRD, PAST, GERUND, NOUN = "base", "third", "past", "gerund", "noun"

_IRREGULAR = """
    be was been being | become became become | begin began begun | bid bid bid | break broke broken
    bring brought brought | build built built | buy bought bought | catch caught caught
    choose chose chosen | come came come | cut cut cut | deal dealt dealt | do did done | draw drew drawn
    drive drove driven | eat ate eaten | fall fell fallen | feed fed fed | find found found
    fly flew flown | forbid forbade forbidden | forget forgot forgotten | forgive forgave forgiven
    freeze froze frozen | get got gotten | give gave given | go went gone | grow grew grown
    hang hung hung | have had had | hear heard heard | hide hid hidden | hit hit hit | hold held held
    keep kept kept | know knew known | lay laid laid | lead led led | leave left left | lend lent lent
    let let let | lose lost lost | make made made | mean meant meant | meet met met | outbid outbid outbid
    overwrite overwrote overwritten | pay paid paid | put put put | quit quit quit | read read read
    rebuild rebuilt rebuilt | redo redid redone | repay repaid repaid | rerun reran rerun
    resend resent resent | reset reset reset | rewrite rewrote rewritten | ring rang rung
    rise rose risen | run ran run | say said said | see saw seen | sell sold sold | send sent sent
    set set set | shake shook shaken | shoot shot shot | show showed shown | shut shut shut
    sing sang sung | sit sat sat | speak spoke spoken | spend spent spent | split split split
    stand stood stood | steal stole stolen | stick stuck stuck | swear swore sworn | take took taken
    teach taught taught | tell told told | think thought thought | throw threw thrown | undo undid undone
    understand understood understood | unsubscribe unsubscribed unsubscribed | wake woke woken
    win won won | withdraw withdrew withdrawn | write wrote written
"""
_PASTS = {
    base: tuple(pasts)
    for line in _IRREGULAR.strip().split("\n")
    for base, *pasts in (row.split() for row in line.split("|"))
}

_DOUBLING = frozenset(
    """
    ban bar beg bet blog chat chop clip cancel control commit compel crop drag drop dub fit flag flip
    get grab hit hop input jot label let log map mop nag net nod omit opt pan permit pin plan plot plug
    pop prefer program put quit ram refer rig rip rob rub run scan scrap set shed ship shop shut sit
    skim skip slap slim slip slot snap split spot stop strip submit sum swap tag tap tip transfer
    transmit travel trim tug unplug unpin untag wrap zip zap unzip
    """.split()
)
"""Verbs that may double their last letter: "planned", "cancelled"; both spellings are known."""

_NOMINAL = {
    "announce": "announcement",
    "answer": "answer",
    "apologise": "apology",
    "apologize": "apology",
    "apply": "application",
    "approve": "approval",
    "back up": "backup",
    "book": "booking",
    "cancel": "cancellation",
    "complain": "complaint",
    "create": "creation",
    "delete": "deletion",
    "deposit": "deposit",
    "donate": "donation",
    "install": "installation",
    "invest": "investment",
    "invite": "invitation",
    "notify": "notification",
    "pay": "payment",
    "publish": "publication",
    "register": "registration",
    "remind": "reminder",
    "remove": "removal",
    "reserve": "reservation",
    "respond": "response",
    "subscribe": "subscription",
    "suggest": "suggestion",
    "transact": "transaction",
    "withdraw": "withdrawal",
}
"""What a verb is called when it is something that one makes: "make a payment"."""

MADE_BY = {noun: verb for verb, noun in _NOMINAL.items()}
"""The verb behind a thing that is made: `make_payment` is for who wants to pay."""

_PLURALS = {
    "child": "children",
    "person": "people",
    "man": "men",
    "woman": "women",
    "foot": "feet",
    "criterion": "criteria",
    "datum": "data",
    "index": "indices",
    "analysis": "analyses",
    "shelf": "shelves",
    "leaf": "leaves",
    "life": "lives",
    "knife": "knives",
}
_SINGULARS = {plural: noun for noun, plural in _PLURALS.items()}
_NO_PLURAL = frozenset(
    """
    address access alias always analysis as atlas basis bias bonus boss bus business campus canvas
    census chaos christmas class compass congress corpus cos crisis cross diagnosis does dress express
    focus gas genius glass gps grass guess has his https ios is its kubernetes lens less loss mass maths
    mess minus morris news nexus nucleus ops os pass perhaps physics plus premises press previous
    process progress redis sales success series sms species status success syllabus synopsis this thomas
    thus tls toss unless us versus virus was wellness windows wireless yes
    """.split()
)
"""Words that end like a plural and are none."""

_NUMBERS = {
    word: value
    for value, word in enumerate(
        """
        zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
        seventeen eighteen nineteen
        """.split()
    )
}
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_NUMBERS |= {word: 10 * value for value, word in enumerate(_TENS, 2)}
_NUMBERS |= {"single": 1, "couple": 2, "pair": 2, "both": 2, "dozen": 12, "hundred": 100, "thousand": 1000}

_VOWELS = "aeiou"
_LONGEST_NUMBER = 9
"""Most digits that are read: a larger number bounds nothing that anybody would do."""


@cache
def inflections(verb: str) -> tuple[tuple[str, str], ...]:
    """Give every form of a verb's first word, each with what it is; one word may be several things."""
    word = verb.split(" ", 1)[0]
    forms = [(word, BASE), (_with_s(word), THIRD)]
    forms += [(stem + "ing", GERUND) for stem in _stems(word, "ing")]
    forms += [(past, PAST) for past in _PASTS.get(word) or [stem + "ed" for stem in _stems(word, "ed")]]
    noun = _NOMINAL.get(verb)
    if noun:
        forms += [(noun, NOUN), (_with_s(noun), NOUN)]
    return tuple(dict.fromkeys(forms))


def _with_s(word: str) -> str:
    if word.endswith(("s", "x", "z", "ch", "sh", "do", "go")):
        return word + "es"
    if _ends_in_y(word):
        return word[:-1] + "ies"
    return word + "s"


def _ends_in_y(word: str) -> bool:
    return word.endswith("y") and word[-2:-1] not in _VOWELS


def _stems(word: str, ending: str) -> tuple[str, ...]:
    """Give what an ending is put to: "plan" and "plann", "delet", "repli"."""
    if word.endswith("e") and (ending == "ed" or not word.endswith(("ee", "oe", "ye"))) and word != "be":
        return (word[:-2] + "y",) if word.endswith("ie") and ending == "ing" else (word[:-1],)
    if ending == "ed" and _ends_in_y(word):
        return (word[:-1] + "i",)
    return (word + word[-1], word) if word in _DOUBLING else (word,)


def is_past(word: str) -> bool:
    """Say whether a word has the form of a past tense: by its ending, or by the table."""
    if word in _ALL_PASTS:
        return True
    return len(word) > 4 and word.endswith("ed") and not word.endswith("eed") and word != "hundred"


_ALL_PASTS = frozenset(past for pasts in _PASTS.values() for past in pasts) - frozenset(_PASTS)


def plural(noun: str) -> str:
    """Give a noun's plural."""
    return _PLURALS.get(noun) or _with_s(noun)


def is_plural(noun: str) -> bool:
    """Say whether a noun is a plural, by its ending and two short tables."""
    if noun in _SINGULARS:
        return True
    return len(noun) > 2 and noun.endswith("s") and not noun.endswith(("ss", "'s")) and noun not in _NO_PLURAL


def number(word: str) -> int | None:
    """Read a whole number in digits or as a word; None for everything else."""
    digits = word.replace(",", "")
    if digits.isascii() and digits.isdigit():
        return int(digits[:_LONGEST_NUMBER])
    known = _NUMBERS.get(word)
    if known is None and "-" in word:
        tens, _, ones = word.partition("-")
        if tens in _NUMBERS and ones in _NUMBERS:
            return _NUMBERS[tens] + _NUMBERS[ones]
    return known
