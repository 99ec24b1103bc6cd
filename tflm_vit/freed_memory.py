# SPDX-License-Identifier: Apache-2.0
"""A process that keeps what it frees.

The C library gives large arrays back to the system as soon as they are freed, and the next one is
fetched again page by page, each filled with zeros: a fifth of the time of `fuse`.
"""

from __future__ import annotations

import ctypes

# <malloc.h> of glibc
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 256 << 20  # of what is free at the end of the heap
_LARGEST_BYTES = 32 << 20  # that lies in the heap; glibc allows no more


def keep_freed_memory() -> bool:
    """Until this process ends; only for a command's own, a library changes nothing of its user's.

    Returns:
      Whether the C library can do so: glibc can.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS; Windows has no CDLL(None)
        return False
    wanted = ((_M_MMAP_THRESHOLD, _LARGEST_BYTES), (_M_TRIM_THRESHOLD, _KEPT_BYTES))
    return all(mallopt(option, value) == 1 for option, value in wanted)
