"""What tests share: a small corpus, a small trained model, and a program to run."""

import os

# Two test workers on two cores: a thread each, also in the programs they start. Before numpy and torch are imported.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import subprocess
import sys
from pathlib import Path

import pytest

POEM = "床前明月光，疑是地上霜。\n举头望明月，低头思故乡。\n"


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory, monkeypatch):
    """The user's cache and data stay untouched; the cache is shared by the tests of a process."""
    base = tmp_path_factory.getbasetemp()
    monkeypatch.setenv("XDG_CACHE_HOME", str(base / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(base / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(base / "config"))


@pytest.fixture(scope="session")
def corpus_file(tmp_path_factory) -> Path:
    """A few thousand characters that a small network learns in a second."""
    path = tmp_path_factory.mktemp("corpus") / "poems.txt"
    path.write_text(POEM * 60, encoding="utf-8")
    return path


def environment(home: Path) -> dict[str, str]:
    """An environment whose user folders are under `home`, without the terminal's size that pytest's workers have."""
    names = {"XDG_CACHE_HOME": "cache", "XDG_DATA_HOME": "data", "XDG_CONFIG_HOME": "config"}
    kept = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    return {**kept, **{key: str(home / name) for key, name in names.items()}, "PYTHONUTF8": "1"}


@pytest.fixture
def charrnn(tmp_path):
    """Run the program as a user does, in a folder of its own."""

    def run(*words: str, check: int | None = 0, **options) -> subprocess.CompletedProcess:
        done = subprocess.run(
            [sys.executable, "-m", "charrnn", *map(str, words)],
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            timeout=120,
            stdin=None if "input" in options else subprocess.DEVNULL,
            **options,
        )
        if check is not None:
            assert done.returncode == check, done.stderr.decode()
        return done

    return run
