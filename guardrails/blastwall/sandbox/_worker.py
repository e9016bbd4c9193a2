"""Runs inside the sandbox: takes one function and its arguments, gives one JSON result, and ends.

Its argument says what to import before it looks for the request; then it writes an empty line. Its standard
input is the request, one line. Its standard output is kept for the result alone: what the function prints
goes to standard error. Everything it says is untrusted to the host, which reads it as JSON only.
"""

import base64
import contextlib
import importlib
import json
import os
import pickle
import sys
from typing import Any


def main() -> None:
    """Get ready, then serve one request."""
    answers = os.dup(1)
    os.dup2(2, 1)
    setup = json.loads(sys.argv.pop())
    extend(setup["path"])
    broken = imported(setup["useful"], setup["preload"])
    with os.fdopen(answers, "w", encoding="utf-8") as out:
        out.write("\n")
        out.flush()
        request = json.loads(sys.stdin.buffer.readline())  # JSON that is cut off is none
        extend(request["path"])
        out.write(broken or answer(request))
    sys.stderr.flush()
    os._exit(0)  # threads that the function left behind must not keep its result waiting


def extend(path: list[str]) -> None:
    """Look for modules in these folders too."""
    sys.path.extend(entry for entry in path if entry not in sys.path)


def imported(useful: list[str], preload: list[str]) -> str | None:
    """Import modules that most functions need, where they exist, and those that must. Give the failure."""
    for name in useful:
        with contextlib.suppress(Exception):  # whoever needs it gets told why
            importlib.import_module(name)
    with contextlib.suppress(Exception):
        sys.modules["pydantic"].validate_call(extend)  # finds its plugins, in all that is installed: 30 ms
    for name in preload:
        try:
            importlib.import_module(name)
        except BaseException as error:  # noqa: BLE001  # a module may do anything when it is imported
            return json.dumps({"missing": [name, type(error).__name__]})
    return None


def answer(request: dict[str, Any]) -> str:
    """Run the function: `returned`, `raised` (type, message), or `unfit` for a result that is no JSON."""
    try:
        function = pickle.loads(base64.b64decode(request["function"]))  # noqa: S301  # from the host
        result = function(**request["arguments"])
        if hasattr(result, "__await__"):
            result = _awaited(result)
    except BaseException as error:  # noqa: BLE001  # the tool's failure is its answer, sys.exit() too
        return json.dumps({"raised": [type(error).__name__, str(error)[:8000]]})
    try:
        return json.dumps({"returned": result}, default=_plain, allow_nan=False)
    except Exception:  # noqa: BLE001  # a result may do as it likes when it is looked at
        return json.dumps({"unfit": True})


def _awaited(result: Any) -> Any:
    import asyncio  # noqa: PLC0415  # costs 50 ms where it is not there yet

    async def main() -> Any:
        return await result

    return asyncio.run(main())


def _plain(value: Any) -> Any:
    from pydantic_core import to_jsonable_python  # noqa: PLC0415  # likewise 30 ms

    return to_jsonable_python(value, by_alias=True)


if __name__ == "__main__":
    main()
