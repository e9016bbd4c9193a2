"""The file users write, and the verdicts that follow from it."""

from blastwall.policy.connector import Connector
from blastwall.policy.decide import Policy, State
from blastwall.policy.explain import Explanation, Line, explain
from blastwall.policy.layers import Layered
from blastwall.policy.parse import parse
from blastwall.policy.rules import Rule
from blastwall.policy.standing import Standing

__all__ = [
    "Connector",
    "Explanation",
    "Layered",
    "Line",
    "Policy",
    "Rule",
    "Standing",
    "State",
    "explain",
    "parse",
]
