"""How glibc keeps this process's memory. Elsewhere these functions do nothing; no result changes."""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # of malloc.h


def keep() -> None:
    """Freed memory stays with the process, for the next step.

    By itself glibc gives large blocks back as soon as they are freed, and the next step pays for fresh pages,
    which is expensive on virtual machines (`benchmarks/step_tricks.py`, docs/performance.md). The price is up to a
    third more memory. EfficientNet-B4 trains 9.5 and 8.6 pictures a second with it, 7.4 and 6.3 without.
    """
    _mallopt(_M_MMAP_MAX, 0)
    _mallopt(_M_TRIM_THRESHOLD, -1)  # never


one_arena_taken = False
"""Whether `one_arena` was called."""


def one_arena() -> None:
    """All threads take memory from one place, so that `keep` holds for all; to be called before there are threads.

    By itself glibc gives each thread an arena of its own, and to these `keep` does not apply:
    so streams scored 129 to 137 pictures a second, where whole batches were scored at 190 to 211.
    """
    global one_arena_taken
    _mallopt(_M_ARENA_MAX, 1)
    one_arena_taken = True


def give_back() -> None:
    """Returns freed memory to the system, even after `keep`."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def _mallopt(parameter: int, value: int) -> None:
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(parameter, value)
