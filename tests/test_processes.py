"""Several processes encode what one does, in order; they end with it, and one that is lost is told of."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import pytest

from charrnn.dataset import prepare
from charrnn.errors import CorpusError
from charrnn.processes import apart, encoded
from charrnn.spool import Stretch
from tests.conftest import POEM

PARENT = """
import sys, time
from charrnn.processes import apart, encoded
from charrnn.spool import Stretch
from charrnn.tokenizer import Tokenizer

if __name__ == "__main__":
    tokenizer = Tokenizer(open(sys.argv[1], "rb").read())
    endless = (Stretch(False, False, None, "床前明月光" * 10_000) for _ in iter(int, 1))
    for _ in encoded(endless, tokenizer, 2):
        print("going", flush=True)
        time.sleep(0.05)
"""


def stretches(count: int) -> list[Stretch]:
    return [Stretch(n % 3 == 0, n % 2 == 0, None, f"第{n}首\n{POEM * (n % 40)}") for n in range(count)]


def test_several_processes_encode_what_one_does_and_a_lost_one_is_told_of(corpus_file, monkeypatch):
    tokenizer = prepare([str(corpus_file)], kind="subword").tokenizer
    monkeypatch.setattr("charrnn.processes.TOGETHER", 3000)
    alone = [(s, ids.tolist()) for s, ids in encoded(stretches(120), tokenizer, 1)]
    assert [(s, ids.tolist()) for s, ids in encoded(stretches(120), tokenizer, 2)] == alone
    rest = encoded(stretches(5000), tokenizer, 2)
    next(rest)
    os.kill(next(iter(children(os.getpid()))), signal.SIGKILL)
    with pytest.raises(CorpusError, match="was killed"):
        deque(rest, maxlen=0)


def failing(words: str) -> None:
    raise CorpusError(words)


def test_work_apart_returns_or_raises_what_it_would_here_and_a_lost_process_is_told_of():
    assert apart(sorted, [3, 1, 2]) == [1, 2, 3]
    with pytest.raises(CorpusError, match="as it is"):
        apart(failing, "as it is")
    with pytest.raises(CorpusError, match="was killed"):
        apart(os._exit, 1)


def children(pid: int) -> set[int]:
    """The encoding processes of a process; not what multiprocessing keeps beside them."""
    found = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return {child for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()}


def test_they_end_with_a_parent_that_is_killed(corpus_file, tmp_path):
    model = tmp_path / "tokenizer.model"
    model.write_bytes(prepare([str(corpus_file)], kind="subword").tokenizer.model)
    (tmp_path / "parent.py").write_text(PARENT, encoding="utf-8")
    with subprocess.Popen([sys.executable, tmp_path / "parent.py", model], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        workers = children(parent.pid)
        parent.kill()
    assert len(workers) == 2
    until = time.monotonic() + 10
    while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
