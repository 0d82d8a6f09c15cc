"""Memory that a step frees and the next one needs again."""

from __future__ import annotations

import ctypes

# glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Ask the C library to keep freed memory for the next step; whether it could be asked.

    A training step on the CPU allocates the same large arrays again and again. glibc gives each back to the
    system and asks anew, and the system hands out every page zeroed: at tejas-10m's shape that took a tenth
    of the step. From now on this process keeps what it once had, so its memory does not shrink. Only glibc
    (mallopt(3)) has these settings; elsewhere nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # no such function, as on macOS; no such call, as on Windows
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, -1))
