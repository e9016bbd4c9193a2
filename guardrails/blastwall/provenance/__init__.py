"""Where data comes from: labels, the memory of a session, the user's own words."""

from blastwall.provenance.arguments import leaves
from blastwall.provenance.formats import FORMATS
from blastwall.provenance.intent import Intent
from blastwall.provenance.labels import FieldRule, Labels
from blastwall.provenance.links import links
from blastwall.provenance.memory import Memory
from blastwall.provenance.normal import normalised
from blastwall.provenance.origins import NOTHING, Context, How, Link, Origin, Path, Traced
from blastwall.provenance.words import objects_of, verbs_of

__all__ = [
    "FORMATS",
    "NOTHING",
    "Context",
    "FieldRule",
    "How",
    "Intent",
    "Labels",
    "Link",
    "Memory",
    "Origin",
    "Path",
    "Traced",
    "leaves",
    "links",
    "normalised",
    "objects_of",
    "verbs_of",
]
