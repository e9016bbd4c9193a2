"""Screening: find what does not belong in a tool's output, then pass, mark, cut or withhold it.

A marker recognises a form (a forged turn, hidden text, an override phrase), never a goal: a plainly
worded order passes. What holds regardless are scopes, provenance and routing.
"""

from blastwall.screening.schema import TypeChecker, json_schema, pydantic_type
from blastwall.screening.screen import screen
from blastwall.screening.settings import DEFAULT_ACTIONS, FAMILIES, Family, Screening

__all__ = [
    "DEFAULT_ACTIONS",
    "FAMILIES",
    "Family",
    "Screening",
    "TypeChecker",
    "json_schema",
    "pydantic_type",
    "screen",
]
