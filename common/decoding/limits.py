"""What the decoding process gives up for good before it reads an image, so that whoever takes it over has little.

With no file descriptor to be had it opens no file and no socket, and with Landlock it also renames, removes and starts
nothing, traces no process and sends it no signal. It can still see what else it is given to decode, and answer wrongly.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import struct
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
# System calls, with the same number on every architecture.
_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446
_LANDLOCK_CREATE_RULESET_VERSION = 1
# How many rights over files, over the network, and over others' processes each version of Landlock can take away.
_LANDLOCK_RIGHTS = {1: (13, 0, 0), 2: (14, 0, 0), 3: (15, 0, 0), 4: (15, 2, 0), 5: (16, 2, 0), 6: (16, 2, 2)}


def confine(memory: int) -> None:
    """Give up files, network, processes and memory beyond ``memory`` bytes of address space; raises OSError."""
    # Whoever wants all of it to stop stops the parent, which may want an answer first.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":  # macOS knows nothing of this, and does not keep to RLIMIT_AS
        library = ctypes.CDLL(None, use_errno=True)
        _call(library.prctl, _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        _call(library.prctl, _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        with contextlib.suppress(OSError):
            # Where the machine has no memory left, this goes first, and its parent goes on.
            Path("/proc/self/oom_score_adj").write_text("1000")
        _restrict_with_landlock(library)
        _limit(resource.RLIMIT_AS, memory)
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE):
        _limit(kind, 0)


def limit_processor_time(seconds: int) -> None:
    """End the process with SIGXCPU after so many more seconds of processor time, or up to one more."""
    _, ceiling = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (_lower(int(time.process_time()) + seconds + 1, ceiling), ceiling))


def _limit(kind: int, most: int) -> None:
    most = _lower(most, resource.getrlimit(kind)[1])
    resource.setrlimit(kind, (most, most))


def _lower(limit: int, ceiling: int) -> int:
    return limit if ceiling == resource.RLIM_INFINITY else min(limit, ceiling)


def _restrict_with_landlock(library: ctypes.CDLL) -> None:
    """Take away every right that this kernel's Landlock knows; where it has none (before 5.13), go without."""
    version = library.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION)
    if version < 1:
        return
    rights = _LANDLOCK_RIGHTS[min(version, max(_LANDLOCK_RIGHTS))]
    rules = struct.pack("=3Q", *((1 << number) - 1 for number in rights))
    handle = _call(library.syscall, _LANDLOCK_CREATE_RULESET, rules, ctypes.c_size_t(len(rules)), 0)
    _call(library.syscall, _LANDLOCK_RESTRICT_SELF, handle, 0)
    os.close(handle)


def _call(function: ctypes._NamedFuncPointer, *arguments: object) -> int:
    result: int = function(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
