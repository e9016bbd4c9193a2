"""Sessions for the tests of provenance: outputs with labels, and what is found of a call."""

from blastwall.frozen import freeze
from blastwall.provenance import FORMATS, FieldRule, Labels, Memory
from blastwall.values import Confidentiality, Integrity, Label

EXTERNAL, INTERNAL, TYPED, PROMPT = Integrity
PUBLIC, PRIVATE, SECRET = Confidentiality

FIELDS = Labels(
    Label(EXTERNAL, PRIVATE),
    (
        FieldRule("**.id", format=FORMATS["identifier"]),
        FieldRule("**.sender", format=FORMATS["email"]),
        FieldRule("**.name|file", format=FORMATS["name"]),
        FieldRule("**.iban", format=FORMATS["iban"]),
        FieldRule("**.size", format=FORMATS["number"]),
        FieldRule("**.password", confidentiality=SECRET),
        FieldRule("**.note", integrity=INTERNAL),
        FieldRule("**.open", confidentiality=PUBLIC),
    ),
)


def session(*outputs, prompt="", labels=FIELDS, limit=32 << 20):
    """Give a memory that has heard a prompt and seen outputs."""
    memory = Memory(limit)
    if prompt:
        memory.begin(prompt)
    for output in outputs:
        memory.remember("mail.get", freeze(output), labels)
    return memory


def leaf(memory, value):
    """Give what is found of one value, alone in a call."""
    (traced,) = memory.recall(freeze({"value": value})).traced
    return traced


def whole(memory, value):
    """Give the integrities of the places that hold all of a value, `MENTION` for an outside text around it."""
    return {
        "mention" if o.prose and o.label.integrity is EXTERNAL else o.label.integrity
        for o in leaf(memory, value).whole
    }


def levels(memory, arguments):
    """Give the highest confidentiality of what is found in the arguments of a call, or None."""
    found = [o for t in memory.recall(freeze(arguments)).traced for o in (*t.whole, *t.parts)]
    return max((o.label.confidentiality for o in found), default=None)
