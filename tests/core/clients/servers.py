"""A server over a pipe that says what it is told to: `servers.py JSON`, with what it answers to each method."""

import json
import sys
import time


def say(line):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main():
    told = json.loads(sys.argv[1])
    if told.get("flood"):
        while True:
            sys.stdout.write("x" * 65536)
    if told.get("silent"):
        time.sleep(60)
    say("not json")
    say("[1]")
    for line in sys.stdin:
        message = json.loads(line)
        if "method" not in message or "id" not in message:
            continue
        result = told.get(message["method"], {})
        if message["method"] == "tools/list" and isinstance(result, list):
            position = int(message["params"].get("cursor", 0))
            cursor = (
                {"nextCursor": str(position + 1)} if position + 1 < len(result) or told.get("endless") else {}
            )
            result = {"tools": result[position % len(result)], **cursor}
        say(json.dumps({"jsonrpc": "2.0", "id": "q", "method": "roots/list"}))
        say(json.dumps({"jsonrpc": "2.0", "id": 99, "result": {"tools": []}}))
        say(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}))


if __name__ == "__main__":
    main()
