"""AgentDojo v1.2.2 as scenes to replay: its own tasks, tools, attacks and checkers, and no model."""

from blastwall.evaluate.agentdojo.suite import DEVELOPED, PACKAGE, SUITES, VERSION, Suite, policy, suites

__all__ = ["DEVELOPED", "PACKAGE", "SUITES", "VERSION", "Suite", "policy", "suites"]
