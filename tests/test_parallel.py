"""Several threads encode what one does, in order; work apart ends with its parent, and it is told where it is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest

from charrnn.dataset import prepare
from charrnn.errors import CorpusError
from charrnn.parallel import AHEAD, apart, encoded
from charrnn.spool import Stretch
from tests.conftest import POEM

PARENT = """
import threading, time
from charrnn.parallel import apart

if __name__ == "__main__":
    threading.Thread(target=apart, args=(time.sleep, 100)).start()
    time.sleep(100)
"""


def stretches(count: int) -> list[Stretch]:
    return [Stretch(n % 3 == 0, n % 2 == 0, None, f"第{n}首\n{POEM * (n % 40)}") for n in range(count)]


@pytest.mark.parametrize("kind", ["char", "subword"])
def test_several_threads_encode_what_one_does_and_read_no_further_than_they_must(kind, corpus_file, monkeypatch):
    tokenizer = prepare([str(corpus_file)], kind=kind).tokenizer
    expected = [(stretch, tokenizer.encode(stretch.text)) for stretch in stretches(120)]
    monkeypatch.setattr("charrnn.parallel.TOGETHER", 3000)
    for threads in (0, 1, 3):
        assert [(s, ids.tolist()) for s, ids in encoded(stretches(120), tokenizer, threads)] == expected
    read = iter(stretches(5000))
    assert len(list(islice(encoded(read, tokenizer, 2), 10))) == 10
    assert len(list(read)) > 5000 - 40 * (2 * AHEAD + 2)


def failing(words: str) -> None:
    raise CorpusError(words)


def test_work_apart_returns_or_raises_what_it_would_here_and_a_lost_process_is_told_of():
    assert apart(sorted, [3, 1, 2]) == [1, 2, 3]
    with pytest.raises(CorpusError, match="as it is"):
        apart(failing, "as it is")
    with pytest.raises(CorpusError, match="was killed"):
        apart(os._exit, 1)


def children(pid: int) -> set[int]:
    """The working processes of a process; not what multiprocessing keeps beside them."""
    found = [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return {child for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()}


def test_it_ends_with_a_parent_that_is_killed(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT, encoding="utf-8")
    with subprocess.Popen([sys.executable, tmp_path / "parent.py"]) as parent:
        until = time.monotonic() + 20
        while not (workers := children(parent.pid)) and time.monotonic() < until:
            time.sleep(0.05)
        parent.kill()
    assert len(workers) == 1
    until = time.monotonic() + 10
    while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
