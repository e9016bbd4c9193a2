"""`blastwall schema`: the policy language as a JSON Schema, for editors."""

import json

import typer

from blastwall.policy.schema import document_schema


def schema() -> None:
    """Print the JSON Schema of a policy file: completion and mistakes, in every editor that reads schemas."""
    typer.echo(json.dumps(document_schema(), indent=2, ensure_ascii=False))
