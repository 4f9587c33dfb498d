"""The program as people call it: exit codes, streams, one line for every mistake."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import charrnn as package
from charrnn.cli import main
from tests.conftest import POEM, environment
from tests.test_generation import DIALOGUE, train

SMALL = ["--layers=1", "--width=16", "--batch=4", "--window=16", "--threads=1", "--steps=20"]


@pytest.fixture(scope="session")
def talker(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    (folder / "sums.jsonl").write_text("\n".join(json.dumps(d) for d in DIALOGUE), encoding="utf-8")
    return train(folder / "model", [folder / "sums.jsonl"], steps=300, dropout=0.0).path


@pytest.fixture(scope="session")
def writer(tmp_path_factory, corpus_file):
    return train(tmp_path_factory.mktemp("cli") / "writer", [corpus_file]).path


def line(done: subprocess.CompletedProcess) -> str:
    """The one line on standard error."""
    text = done.stderr.decode()
    assert text.count("\n") == 1, text
    assert "Traceback" not in text
    return text


# Generation ----------------------------------------------------------------------------------------------------------


def test_generate_writes_the_library_s_text(charrnn, writer):
    done = charrnn("generate", "床前", "-m", writer, "--length", "50", "--seed", "3", "--temperature", "0.9")
    expected = "".join(package.load(writer).generate("床前", length=50, seed=3, temperature=0.9))
    assert done.stdout.decode() == expected + "\n"
    assert done.stderr == b""


def test_generate_as_json_and_from_standard_input(charrnn, writer):
    done = charrnn("generate", "-", "-m", writer, "--length", "9", "--json", "--seed", "1", input="床\n前".encode())
    record = json.loads(done.stdout)
    assert record["prompt"] == "床\n前"
    assert record["seed"] == 1
    assert len(record["text"]) == 9
    again = charrnn("generate", "床\n前", "-m", writer, "--length", "9", "--seed", "1")
    assert again.stdout.decode() == record["text"] + "\n"


def test_a_stop_ends_the_text_before_it(charrnn, writer):
    text = charrnn("generate", "床前明月", "-m", writer, "--stop", "，", "--temperature", "0").stdout.decode()
    assert "，" not in text
    assert len(text) < 300


@pytest.mark.parametrize("prompt", ["", "\ud7ff\U0010ffff\x00x", "🙂" * 50, "-x", "--", "\x1b[2J"])
def test_any_prompt(charrnn, writer, prompt):
    done = charrnn("generate", "-", "-m", writer, "--length", "5", input=prompt.encode())
    assert done.stdout.decode().endswith("\n")


def test_prompts_that_are_no_utf8(writer, tmp_path):
    words = [os.fsencode(w) for w in (sys.executable, "-m", "charrnn", "generate", "-m", writer, "--length", "3")]
    done = subprocess.run([*words, b"\xff\xfe"], env=environment(tmp_path), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_output_that_is_no_longer_read_is_no_error(writer, tmp_path):
    words = [sys.executable, "-m", "charrnn", "generate", "-m", str(writer), "--length", "0"]
    process = subprocess.Popen(words, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read(100)
    process.stdout.close()
    assert process.wait(30) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()


def test_ctrl_c_ends_a_text_without_end(writer, tmp_path):
    words = [sys.executable, "-m", "charrnn", "generate", "-m", str(writer), "--length", "0"]
    with subprocess.Popen(
        words,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests in the background ignore it
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        try:
            said = process.communicate(timeout=30)[1]
        finally:
            process.kill()
        assert process.returncode == 130
        assert b"Traceback" not in said


def test_ask_answers_and_ends(charrnn, talker):
    done = charrnn("ask", "三加一是几", "-m", talker, "--seed", "5", "--temperature", "0.3")
    session = package.load(talker).chat(package.SamplingConfig(temperature=0.3, seed=5))
    assert done.stdout.decode() == "".join(piece.text for piece in session.say("三加一是几")) + "\n"
    record = json.loads(charrnn("ask", "三加一是几", "-m", talker, "--seed", "5", "--json").stdout)
    assert record["seed"] == 5
    assert record["answer"]


def test_asking_a_model_without_dialogue(charrnn, writer):
    assert "read no dialogue" in line(charrnn("ask", "你好", "-m", writer, check=1))


# Figures -------------------------------------------------------------------------------------------------------------


def test_eval_and_info(charrnn, writer, tmp_path):
    (tmp_path / "a.txt").write_text(POEM, encoding="utf-8")
    figures = json.loads(charrnn("eval", "a.txt", "-m", writer, "--json").stdout)
    assert figures["bits_per_character"] == pytest.approx(package.load(writer).bits_per_character(POEM), rel=1e-6)
    assert figures["characters"] == len(POEM)
    assert figures["bits_per_byte"] * len(POEM.encode()) == pytest.approx(figures["bits_per_character"] * len(POEM))
    assert "bits per character" in charrnn("eval", "-", "-m", writer, input=POEM.encode()).stdout.decode()
    info = charrnn("info", "-m", writer).stdout.decode()
    assert "sha256 model.safetensors" in info
    record = json.loads(charrnn("info", "-m", writer, "--json").stdout)
    assert record["files"].keys() >= {"model.safetensors", "tokenizer.model"}


# Wrong calls and failures --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["generate", "--temperature", "-1"], "temperature must be between 0 and 100"),
        (["generate", "--temperature", "hot"], "temperature"),
        (["generate", "--length", "-5"], "length must be 0"),
        (["generate", "--json", "--length", "0"], "--json needs an end"),
        (["generate", "a", "b"], "generate takes no 'b' here"),
        (["generate", "--nonsense"], "nonsense"),
        (["nonsense"], "nonsense"),
        (["train"], "name what to train on"),
        (["train", "x", "--cell", "qrnn"], "rnn, lstm, gru"),
        (["train", "x", "--steps", "1", "--epochs", "1"], "not both"),
        (["train", "x", "--config", "missing.toml"], "missing.toml"),
        (["eval"], "name at least one"),
        (["train", "x", "--config=missing.toml"], "missing.toml"),
        (["ask"], ""),
        (["ask", "x", "--length", "0", "--json"], "length must be 1 or more"),
        (["bench", "-"], "read only once"),
        (["chat"], "chat needs a terminal"),
    ],
)
def test_wrong_calls_are_one_line_and_code_two(charrnn, words, said):
    done = charrnn(*words, check=2)
    assert said in line(done)
    assert done.stdout == b""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["generate", "-m", "nowhere"], "there is no model 'nowhere'"),
        (["generate", "-m", "."], "not a model folder"),
        (["generate", "-m", "~nobody-of-that-name/m"], "no such user"),
        (["train", "missing.txt", *SMALL], "there is no such file"),
        (["train", "empty.txt", *SMALL], "empty"),
        (["train", "one.txt", *SMALL], "only 1 characters"),
        (["train", "junk.txt", *SMALL], "no text"),
        (["train", "bad.txt", *SMALL], "byte 60 is not utf-8"),
        (["train", "--resume"], "nothing to resume"),
        (["eval", "empty.txt"], "empty"),
    ],
)
def test_failures_are_one_line_and_code_one(charrnn, words, said, tmp_path):
    (tmp_path / "empty.txt").touch()
    (tmp_path / "one.txt").write_text("一", encoding="utf-8")
    (tmp_path / "junk.txt").write_bytes(os.urandom(2000))
    (tmp_path / "bad.txt").write_bytes("二".encode() * 20 + b"\xff" + "二".encode() * 200)
    assert said in line(charrnn(*words, check=1))


def test_what_is_typed_comes_back_short_and_cannot_steer(charrnn):
    said = line(charrnn("generate", "-m", "\x1b[2J" + "x" * 200, check=1))
    assert "\x1b" not in said
    assert len(line(charrnn("generate", "--length", "x" * 50_000, check=2))) < 1100
    assert "drafts must be" in line(charrnn("ask", "x", "--drafts", "-1", check=2))


def test_a_model_whose_config_says_little_is_one_line(charrnn, writer, tmp_path):
    shutil.copytree(writer, tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text(encoding="utf-8"))
    for harm in ({"corpus": 3}, {"training": {"x": 1}}, {"held_out": [1]}):
        (tmp_path / "m" / "config.json").write_text(json.dumps(config | harm), encoding="utf-8")
        assert "does not say" in line(charrnn("info", "-m", "./m", check=1))
    (tmp_path / "m" / "config.json").write_text(json.dumps(config | {"tokenizer": "\x1b[2J"}), encoding="utf-8")
    assert b"\x1b" not in charrnn("info", "-m", "./m").stdout


def test_a_dash_is_standard_input_only_where_a_text_is_named(charrnn, writer, tmp_path):
    charrnn("sweep", "床前", "-m", writer, "--temperatures", "0,1", "--length", "9", "--csv", "-")
    assert (tmp_path / "-").read_text(encoding="utf-8").startswith("temperature")
    text = charrnn("generate", "-", "-m", writer, "--temperature=0", "--length=9", "--stop", "-", input=b"a-b").stdout
    assert text == charrnn("generate", "a-b", "-m", writer, "--temperature=0", "--length=9").stdout
    assert "-: not a model folder" in line(charrnn("info", "-m", "-", check=1))


def test_a_lack_of_memory_is_one_line(monkeypatch, capsys):
    def lack(words):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("charrnn.parser.run", lack)
    assert main(["info"]) == 1
    assert "not enough memory" in capsys.readouterr().err

    def mistake(words):
        raise RuntimeError("a mistake")

    monkeypatch.setattr("charrnn.parser.run", mistake)
    with pytest.raises(RuntimeError, match="a mistake"):
        main(["info"])


def test_debug_shows_where(charrnn):
    assert b"Traceback" in charrnn("generate", "-m", "nowhere", "--debug", check=1).stderr


def test_help_and_version(charrnn):
    assert charrnn("--version").stdout.decode().strip() == package.__version__
    said = charrnn("train", "--help").stdout.decode()
    for word in ("--cell", "--minutes", "--resume", "--config"):
        assert word in said
    assert "--temperature" in charrnn("generate", "--help").stdout.decode()


def test_every_command_has_an_example():
    from charrnn.parser import app

    commands = [name for name in app if not name.startswith("-")]
    assert len(commands) > 10
    for name in commands:
        assert f"charrnn {name}" in app[name].help.partition("Example")[2], name


@pytest.mark.skipif(not shutil.which("bash"), reason="it needs bash")
def test_bash_completes_commands_and_options(charrnn):
    script = charrnn("completion", "bash").stdout.decode()
    script += '\n_complete() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _charrnn; echo "${COMPREPLY[@]}"; }\n'
    script += "_complete charrnn swe\n_complete charrnn train --dry"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["sweep", "--dry-run"]


def test_the_corpora_say_what_they_hold(charrnn):
    done = charrnn("corpus")
    assert "question sets" in done.stdout.decode()
    assert done.stderr == b""
    assert json.loads(charrnn("corpus", "--json").stdout)["broken"] == []


# Training ------------------------------------------------------------------------------------------------------------


def test_train_says_how_to_chat_and_never_overwrites(charrnn, corpus_file, tmp_path):
    first = charrnn("train", corpus_file, *SMALL)
    assert first.stdout.decode().splitlines()[-1] == "charrnn chat -m models/poems"
    assert "held out:" in first.stdout.decode()
    assert charrnn("train", corpus_file, *SMALL).stdout.decode().splitlines()[-1] == "charrnn chat -m models/poems-2"
    assert "--overwrite" in line(charrnn("train", corpus_file, *SMALL, "--out", "models/poems", check=2))
    charrnn("train", corpus_file, *SMALL, "--out", "models/poems", "--overwrite")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x", encoding="utf-8")
    assert "not a model folder" in line(charrnn("train", corpus_file, *SMALL, "--out", "mine", "--overwrite", check=2))
    folder = tmp_path / "models" / "poems"
    names = {path.name for path in folder.iterdir()}
    assert names >= {"config.json", "model.safetensors", "tokenizer.model", "README.md", "metrics.jsonl"}
    assert not [name for name in names if name.startswith("training_state")]
    for row in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        assert json.loads(row)["step"] <= 20


def test_reports_for_programs(charrnn, corpus_file):
    rows = [json.loads(row) for row in charrnn("train", corpus_file, *SMALL, "--json").stdout.splitlines()]
    assert [row["step"] for row in rows if row["report"] == "stepped"] == list(range(1, 21))
    assert rows[-1]["report"] == "finished"
    assert rows[-1]["scores"]["alone"]["characters"] > 0


def test_dry_run_leaves_nothing(charrnn, corpus_file, tmp_path):
    done = charrnn("train", corpus_file, *SMALL, "--dry-run")
    assert "would train 20 steps" in done.stderr.decode()
    assert not (tmp_path / "models").exists()


def test_a_config_file_sets_what_the_command_line_does_not(charrnn, corpus_file, tmp_path):
    (tmp_path / "run.toml").write_text('cell = "gru"\nwidth = 12\nsteps = 7\n', encoding="utf-8")
    for given in (["--config", "run.toml"], ["--config=run.toml"]):
        charrnn("train", corpus_file, *given, "--layers=1", "--threads=1", "--steps=9", "--out", "m", "--overwrite")
        stored = json.loads((tmp_path / "m" / "config.json").read_text(encoding="utf-8"))
        assert (stored["training"]["cell"], stored["training"]["width"], stored["training"]["steps"]) == ("gru", 12, 9)
        shutil.rmtree(tmp_path / "m")
    (tmp_path / "bad.toml").write_text("widht = 3\n", encoding="utf-8")
    assert "widht" in line(charrnn("train", corpus_file, "--config", "bad.toml", check=2))


def test_training_from_standard_input_and_on_a_text_of_ones_own_to_validate(charrnn, tmp_path):
    (tmp_path / "valid.txt").write_text(POEM, encoding="utf-8")
    charrnn("train", "-", *SMALL, "--valid", "valid.txt", input=(POEM * 9).encode("gb18030"))
    stored = json.loads((tmp_path / "models" / "stdin" / "config.json").read_text(encoding="utf-8"))
    assert stored["corpus"]["valid_characters"] == len(POEM)
    assert stored["corpus"]["train_characters"] == len(POEM) * 9
    assert "charrnn train - --valid valid.txt" in (tmp_path / "models" / "stdin" / "README.md").read_text("utf-8")


def test_init_from_keeps_shape_and_tokenizer(charrnn, writer, corpus_file, tmp_path):
    charrnn("train", corpus_file, "--steps=3", "--threads=1", "--init-from", writer, "--out", "child")
    child, parent = package.load(tmp_path / "child"), package.load(writer)
    assert child.config == parent.config
    assert child.tokenizer.model == parent.tokenizer.model
    assert f"--init-from {writer} " in (tmp_path / "child" / "README.md").read_text(encoding="utf-8")


def test_a_full_disk_is_one_line(corpus_file, tmp_path):
    """A limit on the size of files stands in for a disk that is full."""
    words = ["train", str(corpus_file), *SMALL[:1], *SMALL[2:], "--width", "128", "--out", "m"]
    limited = f"ulimit -f 20; exec {sys.executable} -m charrnn {' '.join(words)}"
    done = subprocess.run(
        ["bash", "-c", f"trap '' XFSZ; {limited}"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"File too large" in done.stderr
    assert not Path(tmp_path / "m").exists()


def test_bench_trains_each_cell_and_prints_a_row(charrnn, corpus_file):
    head, *rows = charrnn("bench", corpus_file, "--minutes=0.05", "--cells=rnn,mingru").stdout.decode().splitlines()
    assert [row.split(" | ")[0] for row in rows] == ["rnn", "mingru"]
    bits = head.split(" | ").index("bits per character")
    assert all(0 < float(row.split(" | ")[bits]) < 12 for row in rows)
    failed = charrnn("bench", "nothing-here.txt", check=1).stderr.decode()
    assert "nothing-here.txt" in failed.splitlines()[-1]
    assert "Traceback" not in failed
