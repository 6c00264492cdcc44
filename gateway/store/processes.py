"""Names for processes that share a database, by which one on the same machine can be told to be gone.

A process that was killed cannot say so. What it holds under a lease is free when that ends; on the same machine its
successor need not wait, for the kernel knows.
"""

from __future__ import annotations

import os
import secrets
import socket


def name_of_this_process() -> str:
    """One of its own, also for a second user of it in the same process."""
    return f"{this_machine()}/{os.getpid()}/{secrets.token_hex(4)}"


def is_gone(name: str) -> bool:
    """Whether the process of this name has ended for certain; False where nobody can say from here."""
    machine, _, rest = name.rpartition("/")[0].rpartition("/")
    if not machine or machine != this_machine() or not rest.isdigit():
        return False
    try:
        os.kill(int(rest), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def this_machine() -> str:
    """What numbers its processes: this boot of this machine, or of a container in it. Empty where that is not told."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as told:
            boot = told.read().strip()
        return f"{socket.gethostname()}/{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""
