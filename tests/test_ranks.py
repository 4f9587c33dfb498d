"""Several processes that train one network: the same network as one would, and nothing lost when one of them is."""

from __future__ import annotations

import json
import os
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
    if steps == 1:
        Run(tmp_path, 1, *words, "--batch", 4, "--out", "half").end()
        assert apart(one, weights_of(tmp_path / "half")) > 1e-4  # else the above would say nothing


LONG = ["--steps", 160, "--batch", 2, "--layers", 1, "--width", 16, "--window", 8, "--dropout", "0.1", "--threads", 1]


def test_what_two_began_goes_on_exactly_and_with_one_as_well_and_a_lost_one_loses_nothing(tmp_path, corpus_file):
    words = [corpus_file, *LONG, "--precision", "fp32", "--store", "float32", "--device", "cpu"]
    Run(tmp_path, 2, *words, "--out", "whole").end()
    whole = weights_of(tmp_path / "whole")
    # Asked to end, as by a terminal: it saves, and goes on bit for bit.
    run = Run(tmp_path, 2, *words, "--out", "parted")
    run.until(24)
    os.killpg(run.process.pid, signal.SIGINT)
    said = run.end(None)
    assert "interrupted and saved" in said
    subprocess.run(["cp", "-r", tmp_path / "parted", tmp_path / "alone"], check=True)
    Run(tmp_path, 2, "--resume", "--out", "parted").end()
    assert apart(whole, weights_of(tmp_path / "parted")) == 0
    # By one process: another draw of what is dropped, the same text in the same order.
    Run(tmp_path, 1, "--resume", "--out", "alone").end()
    assert 0 < apart(whole, weights_of(tmp_path / "alone")) < 1
    # One is killed: torchrun starts them again, and they go on where it was saved.
    run = Run(tmp_path, 2, *words, "--out", "lost", restarts=1)
    run.until(24)
    os.kill(run.workers()[1], signal.SIGKILL)
    said = run.end()
    assert "going on at step" in said
    assert apart(whole, weights_of(tmp_path / "lost")) == 0


def test_a_lost_process_ends_the_run_with_a_clear_line(tmp_path, corpus_file):
    run = Run(tmp_path, 2, corpus_file, *LONG, "--device", "cpu", "--out", "lost")
    run.until(24)
    os.kill(run.workers()[1], signal.SIGKILL)
    said = run.end(None)
    assert run.process.returncode != 0
    assert "has lost the others" in said or "Signal 9" in said
    assert package.load(tmp_path / "lost").generate("字", length=3, seed=1)
