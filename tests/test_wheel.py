"""The wheel: built, installed into an empty environment, and used from another folder."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import charrnn as package

ROOT = Path(__file__).parents[1]


def build(out: Path, *kinds: str) -> Path:
    """A folder with what was built."""
    words = [sys.executable, "-m", "build", *kinds, "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return next(build(tmp_path_factory.mktemp("wheel"), "--wheel").glob("*.whl"))


def test_the_source_that_is_packed_makes_the_same_wheel_byte_for_byte(wheel, tmp_path):
    again = build(tmp_path)  # packs the source, and makes the wheel of that
    assert next(again.glob("*.whl")).read_bytes() == wheel.read_bytes()
    assert wheel.name.split("-")[1] == package.__version__
    with tarfile.open(next(again.glob("*.tar.gz"))) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    assert {"Makefile", "constraints.txt", "README.md", "tests/conftest.py", "corpora/README.md"} <= names
    assert not {name for name in names if name.split("/")[0] in ("models", ".venv", "dist", ".git")}


def test_the_wheel_holds_what_is_needed_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "charrnn/pretrained/model.safetensors",
        "charrnn/pretrained/memory.safetensors",
        "charrnn/corpora/articles/backprop.md",
        "charrnn/corpora/binary/sequence.txt",
        "tui/screens/chat.tcss",
        "tui/widgets/rows.tcss",
        "charrnn/py.typed",
    ):
        assert needed in names
    assert not [name for name in names if name.startswith(("tests", "models", "build"))]
    assert wheel.stat().st_size < 16_000_000


def test_installed_into_an_empty_environment_it_generates(wheel, tmp_path):
    """The dependencies are those of this environment, by a path file: torch alone would take minutes to install."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    site = next((tmp_path / "venv" / "lib").glob("python*")) / "site-packages"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--no-deps",
        "--no-index",
        "--quiet",
        str(wheel),
    ]
    subprocess.run(pip, check=True, timeout=120)
    here = Path(package.__file__).parents[1]
    libraries = {p for p in sys.path if p.endswith("site-packages")}
    (site / "libraries.pth").write_text("\n".join(libraries))
    (tmp_path / "elsewhere").mkdir()
    code = "import charrnn; print(charrnn.__file__)"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, cwd=tmp_path / "elsewhere", check=True)
    assert str(tmp_path / "venv") in found.stdout
    assert str(here) not in found.stdout
    words = [tmp_path / "venv" / "bin" / "charrnn", "generate", "循环", "--length", "20", "--seed", "1"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path / "elsewhere", timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) == 21
    words = [tmp_path / "venv" / "bin" / "charrnn", "train", "binary", "--dry-run", "--steps", "5"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path / "elsewhere", timeout=60)
    assert done.returncode == 0, done.stderr
    assert "2,500 characters" in done.stderr
