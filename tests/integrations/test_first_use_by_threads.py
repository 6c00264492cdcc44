"""A type that several threads meet for the first time together must not crash the interpreter (msgspec 0.22.0)."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys, threading
import msgspec
from gateway.integrations.http import _decoder

sys.setswitchinterval(0.00001)

def kind():
    class Inner(msgspec.Struct):
        url: str | None = None
    class Outer(msgspec.Struct, rename="camel"):
        id: str
        a: str | None = None
        b: int | None = None
        c: Inner | None = None
        d: list[Inner] = []
    return Outer

for _ in range(60):
    made, begin = kind(), threading.Event()
    def meet():
        begin.wait()
        _decoder(made).decode(b'{"id":"x","a":"1","b":2,"c":{"url":"x"},"d":[{"url":"u"}]}')
    threads = [threading.Thread(target=meet) for _ in range(32)]
    for thread in threads:
        thread.start()
    begin.set()
    for thread in threads:
        thread.join()
"""


def test_threads_that_meet_a_type_of_answer_together_all_live() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr.decode()[-500:]
