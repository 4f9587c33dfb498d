"""What was set in the app, and files of it that are none."""

import os

import pytest

from tui.settings import LARGEST, Settings


@pytest.mark.parametrize(
    "data", [b"", b"3", b"\xff", b"[" * 300_000, b"1" * 5000, b'{"language": ["zh"]}', b" " * (LARGEST + 1)]
)
def test_a_file_that_is_none_is_as_good_as_none_and_written_anew(tmp_path, data):
    path = tmp_path / "settings.json"
    path.write_bytes(data)
    settings = Settings(path)
    assert settings.get("language", "zh", "en") is None
    settings.put("language", "zh")
    assert Settings(path).get("language", "zh", "en") == "zh"


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "settings.json")
    assert Settings(tmp_path / "settings.json").get("language", "zh") is None
