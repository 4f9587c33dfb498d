"""Locks on open files and folders, which the system takes back where a process dies."""

from __future__ import annotations

import os


def lock(handle: int, *, shared: bool = False) -> bool:
    """Whether it is locked until the handle is closed, and not by another process. A system or a file system that knows
    no locks keeps nobody away: there it counts as locked, too."""
    if os.name == "nt":
        return True
    import fcntl

    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
