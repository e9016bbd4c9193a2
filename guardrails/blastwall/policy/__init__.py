"""The file users write, and the verdicts that follow from it."""

from blastwall.policy.decide import Connector, Policy, Rule, Standing, State
from blastwall.policy.explain import Explanation, Line, explain
from blastwall.policy.parse import parse

__all__ = ["Connector", "Explanation", "Line", "Policy", "Rule", "Standing", "State", "explain", "parse"]
