"""Several processes that train one network: the same network as one would, and nothing lost when one of them is."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

import charrnn as package
from tests.conftest import environment

PLAIN = [
    *("--optimizer", "sgd", "--learning-rate", 1, "--precision", "fp32", "--dropout", 0, "--candidates", 0),
    *("--no-memory", "--store", "float32", "--keep", "last", "--tokenizer", "char", "--layers", 1, "--width", 32),
    *("--window", 16, "--threads", 1, "--device", "cpu", "--aside", 0),
]


class Run:
    """`charrnn train` by so many processes, reporting in JSON."""

    def __init__(self, folder, ranks, *words, restarts=0):
        command = [sys.executable, "-m"]
        if ranks > 1:
            command += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
            command += ["--max-restarts", str(restarts), "-m"]
        command += ["charrnn", "train", *map(str, words), "--json"]
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(folder) | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def until(self, step):
        """Read reports up to this step."""
        for line in self.process.stdout:
            if json.loads(line).get("step", 0) >= step:
                return

    def workers(self):
        """The processes that train."""
        me = self.process.pid
        with open(f"/proc/{me}/task/{me}/children") as file:  # noqa: PTH123
            return [int(pid) for pid in file.read().split()]

    def end(self, code=0):
        """Its standard error, once it has ended."""
        said = self.process.communicate(timeout=120)[1].decode()
        assert code is None or self.process.returncode == code, said
        return said


def weights_of(path):
    return package.load(path).weights


def apart(one, other):
    assert one.keys() == other.keys()
    return max(float(np.abs(one[name] - other[name]).max()) for name in one)


@pytest.mark.parametrize("steps", [1, 50])
def test_two_learn_what_one_learns_from_twice_the_batch(tmp_path, corpus_file, steps):
    """After one step of rate 1 the weights have moved by the gradient; and after fifty they are still the same."""
    words = [corpus_file, *PLAIN, "--steps", steps]
    runs = [
        Run(tmp_path, 1, *words, "--batch", 8, "--out", "one"),
        Run(tmp_path, 2, *words, "--batch", 4, "--out", "two"),
    ]
    for run in runs:
        run.end()
    one, two = (weights_of(tmp_path / name) for name in ("one", "two"))
    assert apart(one, two) < 1e-5


def test_each_has_a_batch_of_its_own_also_where_it_is_chosen(tmp_path, corpus_file):
    words = [corpus_file, "--steps", 9, "--dry-run", "--threads", 1]
    said = [Run(tmp_path, ranks, *words, "--out", f"of-{ranks}").end() for ranks in (1, 2)]
    streams = [int(re.search(r"steps of (\d+) ×", each).group(1)) for each in said]
    assert streams[1] == 2 * streams[0]


LONG = ["--steps", 160, "--batch", 2, "--layers", 1, "--width", 16, "--window", 8, "--dropout", "0.1", "--threads", 1]


def test_nothing_is_lost_with_a_process_and_another_number_goes_on(tmp_path, corpus_file):
    words = [corpus_file, *LONG, "--precision", "fp32", "--store", "float32", "--device", "cpu"]
    Run(tmp_path, 2, *words, "--out", "whole").end()
    whole = weights_of(tmp_path / "whole")
    # One is killed: the other says so, torchrun starts both again, and they go on bit for bit where it was saved.
    run = Run(tmp_path, 2, *words, "--out", "lost", restarts=1)
    run.until(24)
    assert package.load(tmp_path / "lost").generate("字", length=3, seed=1)
    os.kill(run.workers()[1], signal.SIGKILL)
    said = run.end()
    assert "process 0 of 2 has lost the others" in said
    assert "going on at step" in said
    assert apart(whole, weights_of(tmp_path / "lost")) == 0
    # Asked to end, as by a terminal, it saves; one process goes on: another draw of what is dropped, the same text.
    run = Run(tmp_path, 2, *words, "--out", "parted")
    run.until(24)
    os.killpg(run.process.pid, signal.SIGINT)
    assert "interrupted and saved" in run.end(None)
    Run(tmp_path, 1, "--resume", "--out", "parted").end()
    assert 0 < apart(whole, weights_of(tmp_path / "parted")) < 1
