"""What measurements of other processes share: how much memory they take."""

from __future__ import annotations

from pathlib import Path


def anonymous(pid: int) -> float:
    """MB of memory of a process and its children that no file backs (RssAnon); mapped pages do not count."""
    total = 0.0
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                total += int(line.split()[1]) / 1000
    except (FileNotFoundError, ProcessLookupError):
        return total
    return total + sum(anonymous(int(child)) for child in children)
