"""Other products' permissions as a policy, never wider than they were, and what could not be carried over."""

from blastwall.imports import claude, docker, gemini, vscode
from blastwall.imports.draft import Draft
from blastwall.imports.fields import Given, Surroundings
from blastwall.imports.writing import counted, written

TRANSLATORS = {
    "claude-code": claude.draft,
    "gemini-cli": gemini.draft,
    "docker-mcp": docker.draft,
    "vscode": vscode.draft,
}
"""What can be imported."""

__all__ = ["TRANSLATORS", "Draft", "Given", "Surroundings", "counted", "written"]
