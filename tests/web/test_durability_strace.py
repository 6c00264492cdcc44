"""No 200 leaves before its commit is on disk: seen from outside, in the order of the system calls."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from tests.web.real import serving

pytestmark = [
    pytest.mark.sockets,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]

CALLS = "fsync,fdatasync,sendto,sendmsg,write,writev,recvfrom,recvmsg,read,readv"
DELIVERIES = 25
DISK = re.compile(r"(fsync|fdatasync)(\(| resumed)")


def test_every_200_follows_a_sync_of_its_own_commit(tmp_path: Path) -> None:
    trace = tmp_path / "trace.txt"
    tracer = ["strace", "-f", "-s", "4096", "-e", f"trace={CALLS}", "-o", str(trace)]
    with serving(tmp_path, before=tracer) as server:
        for n in range(DELIVERIES):
            assert server.post(f"evt_{n}")[0] == 200
        # The tracer's own child is the server.
        os.kill(server.worker_pid, signal.SIGTERM)
        server.process.wait(20)

    order = "".join(kind_of(line) for line in trace.read_text().splitlines())
    deliveries = re.sub("^[^r]*", "", order)
    assert re.fullmatch(f"(r+d+a){{{DELIVERIES}}}d*", deliveries), deliveries


def kind_of(line: str) -> str:
    """`r`: a request was read.  `d`: a sync of the disk ended well.  `a`: an answer begins to leave.  Or nothing."""
    if DISK.search(line):
        return "d" if line.rstrip().endswith("= 0") else ""
    if "POST /webhooks" in line:
        return "r"
    return "a" if r"\"accepted\"" in line else ""
