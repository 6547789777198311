"""How the C library gets the memory of large arrays."""

from __future__ import annotations

import numpy as np

_LARGEST = (32 << 20) - (64 << 10)  # bytes; glibc keeps no block of more than 32 MB


def keep_freed_memory() -> None:
    """Let the heap keep the memory of freed arrays, up to 64 MB, for the next ones.

    A step frees as much as the next one asks for. glibc gives memory back to the system in between,
    and then each page costs a fault when it is first written, unless it has seen a large block
    freed: it keeps twice the size of the largest one, of 32 MB at most, and serves blocks up to
    that size from its heap (mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD). So one is freed
    here; its pages are never written. Other C libraries do as they always do.
    """
    np.empty(_LARGEST, np.uint8)
