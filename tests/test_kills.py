"""A few tries of each part of `tests/faults/kills.py`, which has hundreds."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import environment

SCRIPT = Path(__file__).parent / "faults" / "kills.py"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="it looks at the processes of Linux")
def test_what_is_saved_outlives_kills_full_disks_and_other_programs(tmp_path):
    command = [sys.executable, str(SCRIPT), "--count", "2", "--steps", "2", "--seed", "1"]
    home = {**environment(tmp_path), "PYTHONPATH": str(SCRIPT.parents[2])}
    done = subprocess.run(command, env=home, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" | 0 |") == 5
