"""Runs inside the sandbox: takes one function and its arguments, gives one JSON result, and ends.

Its standard input is the request. Its standard output is kept for the result alone: what the function
prints goes to standard error. Everything it says is untrusted to the host, which reads it as JSON only.
"""

import base64
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
        out.write(answer(request))
    sys.stderr.flush()
    os._exit(0)  # threads that the function left behind must not keep its result waiting


def answer(request: dict[str, Any]) -> str:
    """Run the function: `returned`, `raised` (type, message), or `unfit` for a result that is no JSON."""
    try:
        function = pickle.loads(base64.b64decode(request["function"]))  # noqa: S301  # from the host
        result = function(**request["arguments"])
        if hasattr(result, "__await__"):
            result = _awaited(result)
    except BaseException as error:  # noqa: BLE001  # the tool's failure is its answer, sys.exit() too
        return json.dumps({"raised": [type(error).__name__, str(error)[:4000]]})
    try:
        return json.dumps({"returned": result}, default=_plain, allow_nan=False)
    except Exception:  # noqa: BLE001  # a result may do as it likes when it is looked at
        return json.dumps({"unfit": True})


def _awaited(result: Any) -> Any:
    import asyncio  # noqa: PLC0415  # costs every call 50 ms

    async def main() -> Any:
        return await result

    return asyncio.run(main())


def _plain(value: Any) -> Any:
    from pydantic_core import to_jsonable_python  # noqa: PLC0415  # costs 30 ms, and most results are plain

    return to_jsonable_python(value, by_alias=True)


if __name__ == "__main__":
    main()
