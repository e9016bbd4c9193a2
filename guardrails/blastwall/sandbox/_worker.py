"""Runs inside the sandbox: takes one function and its arguments, gives one JSON result, and ends.

Its standard input is the request. Its standard output is kept for the result alone: what the function
prints goes to standard error. Everything it says is untrusted to the host, which reads it as JSON only.
"""

import asyncio
import base64
import dataclasses
import inspect
import json
import os
import pickle
import sys
from typing import Any


def main() -> None:
    """Serve one request."""
    answers = os.dup(1)
    os.dup2(2, 1)
    request = json.load(sys.stdin.buffer)
    sys.path.extend(request["path"])
    with os.fdopen(answers, "w", encoding="utf-8") as out:
        json.dump(answer(request), out)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Run the function: `returned`, `raised` (type, message), or `unfit` for a result that is no JSON."""
    try:
        function = pickle.loads(base64.b64decode(request["function"]))  # noqa: S301  # from the host
        result = function(**request["arguments"])
        if inspect.isawaitable(result):
            result = asyncio.run(_awaited(result))
    except Exception as error:  # noqa: BLE001  # the tool's failure is its answer
        return {"raised": [type(error).__name__, str(error)[:4000]]}
    try:
        return {"returned": json.loads(json.dumps(result, default=_plain, allow_nan=False))}
    except (TypeError, ValueError, RecursionError):
        return {"unfit": type(result).__name__}


async def _awaited(result: Any) -> Any:
    return await result


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError


if __name__ == "__main__":
    main()
