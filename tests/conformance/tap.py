"""Stand between a client and a server on stdio, change nothing, and write down every message that passes.

`python tap.py FILE COMMAND...` writes to FILE with the process id appended: a client may start a server twice.
"""

import os
import subprocess
import sys
import threading
from typing import IO


def relay(source: IO[bytes], sink: IO[bytes], side: bytes, log: int) -> None:
    try:
        for line in source:
            os.write(log, side + line)
            sink.write(line)
            sink.flush()
    except OSError:
        pass  # the other side is gone
    finally:
        sink.close()


def main() -> None:
    log = os.open(f"{sys.argv[1]}.{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    server = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin is not None
    assert server.stdout is not None
    threading.Thread(target=relay, args=(sys.stdin.buffer, server.stdin, b"> ", log), daemon=True).start()
    relay(server.stdout, sys.stdout.buffer, b"< ", log)
    server.wait()


main()
