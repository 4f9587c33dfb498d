"""Command lines that nobody would type: every command and option, with values of any kind."""

from __future__ import annotations

import itertools
import json

from tests.faults.fuzz_cases import SMALL, Case, Failure, odd_text

# Values are parted by blanks; two blanks have an empty one between them.
WILD = (
    *[
        "nan",
        "inf",
        "-inf",
        "-1",
        "-0",
        "0",
        "1",
        "1e308",
        "-1e308",
        "1e400",
        "5e-324",
        "",
        "１２",
        "٣",
        "0x10",
        "1_000",
        "1e3",
        "true",
        "no",
        "None",
        "null",
        "[]",
        "{}",
        "'",
        "=",
        "--",
        "-",
        "---",
        "-x",
    ],
    *[
        "--x",
        "../..",
        "/",
        "/dev/null",
        "~",
        "*",
        "0,1",
        "0，1",
        ",",
        "nan,inf",
        "0.5,x",
        "1,2,3,4,5,6,7,8,9",
        "%s%n",
        "$(touch",
        "`x`",
        "\\",
        "é",
    ],
    *(" ", '"', '{"a": 1}', "a\nb", "\x1b[2J", "\udcff\udcfe", "9" * 25, "9" * 5000, "好" * 3000, "x" * 100_000),
)
PROMPTS = ("", "床前", "-", "--", "x", "三加一是几", "\udcff", "a\nb", "\x1b]0;x\x07", "好" * 500, "-1", "--length")
NUMBERS = "0 1 2 7 0.5 -1 nan inf 3.5 1e9 100 99999999999999999999 0.0001 -0.5 1.0"
NAMES = ("--temperature", "--top-k", "--top-p", "--min-p", "--repetition-penalty", "--repetition-window", "--seed")
SAMPLING: dict[str, str | None] = dict.fromkeys(NAMES, NUMBERS)
LENGTHS = "1 5 9 -1 x 1.5 nan  ０"
TRAINING: dict[str, str | None] = {
    "--cell": "gru rnn lstm mingru qrnn ",
    "--layers": "1 0 -1 65 x",
    "--width": "8 16 -1 16385 nan 1",
    "--feedforward": "-1 0 4 -2 99999",
    "--tied": None,
    "--no-tied": None,
    "--summary": "0 4 -1 4097",
    "--tokenizer": "auto char subword x",
    "--vocabulary": "0 1 300 -1 999999999 999999999999999999999999",
    "--errors": "strict replace ignore",
    "--minutes": "0 -1 nan inf 1e308 1e-300 x",
    "--epochs": "0 0.1 -1 nan 1e10",
    "--batch": "0 1 3 -1 65537",
    "--window": "1 2 16 0 65537 65536",
    "--prose": "0 0.5 nan 1 2",
    "--split": "0 1 nan -1",
    "--dropout": "-1 0 0.9 1 nan",
    "--forget": "0 0.9 1 nan",
    "--contrast": "0 3 -1 999999999",
    "--candidates": "0 1 2 -1 999999999",
    "--optimizer": "sgd adamw lion",
    "--learning-rate": "0 1e-3 1e308 nan -1 inf",
    "--weight-decay": "-1 0 9 11 nan",
    "--warmup": "0 0.99 1 nan",
    "--decay": "0 1 nan 2",
    "--clip": "0 inf nan -1 1e-30",
    "--initialisation": "torch charrnn x",
    "--aside": "0 10 -1 99999999999999999999999",
    "--memory": None,
    "--no-memory": None,
    "--keep": "auto best last x",
    "--patience": "0 1 -1 99999999999999999999999",
    "--seed": "0 -1 99999999999999999999999 9223372036854775807",
    "--threads": "1 2 -1 1025 x",
    "--device": "cpu cuda auto x",
    "--precision": "fp32 bf16 auto x",
    "--store": "float16 float32 int8 x",
    "--json": None,
    "--overwrite": None,
    "--resume": None,
    "--out": "made  /dev/null/x . made/../made",
    "--init-from": "nowhere  WRITER TALKER",
    "--valid": "POEMS nowhere  SUMS",
    "--config": "nowhere  .",
}
SHORT = {"--length": LENGTHS, "--json": None}
MIND: dict[str, str | None] = {"--memory": None, "--no-memory": None}
TABLE: dict[str, str | None] = {
    "--samples": "1 2 0 -1 x",
    "--temperatures": "0 0,1  nan 0，0.5 x 101 1,,2 -1 1e-320,5e-324",
    "--ask": None,
    "--csv": "a.csv  /nowhere/x .",
    "--plot": "a.svg a.png a.x  /nowhere/x.svg .",
}
COMMANDS: dict[str, dict[str, str | None]] = {
    "generate": {**SAMPLING, **SHORT, **MIND, "--stop": " ， x"},
    "ask": {**SAMPLING, **SHORT, **MIND, "--drafts": "1 2 0 -1 x 3.7 1e9  8 999999999999"},
    "look": {**SAMPLING, **SHORT, **MIND, "--drafts": "1 2 0 -1 x 3.7 1e9 ", "--ask": None},
    "sweep": {**SAMPLING, **SHORT, **TABLE},
    "eval": {**MIND, "--errors": "strict replace x", "--json": None},
    "info": {"--json": None},
    "cache": {"--json": None, "--clear": None, "--no-clear": None},
    "corpus": {"--nonsense": None},
    "bench": {"--cells": " gru rnn,lstm"},
    "chat": {"--memory": None},
    "train": TRAINING,
    "nonsense": {"--x": None},
}
WEIGHTS = (4, 4, 3, 3, 3, 2, 1, 1, 1, 1, 5, 1)
TAME = {"--length", "--minutes", "--epochs", "--drafts", "--samples", "--threads", "--contrast"}
"""Options whose values, if they are right, may keep the program at work for as long as they say."""
PROCESSES = 60  # one case of so many runs in a process of its own
MACHINE = ("generate", "ask", "look", "sweep", "info", "eval", "cache")


def prepare(case: Case) -> None:
    """Small models of both kinds, and texts."""
    for name in ("writer", "talker", "poems", "sums"):
        getattr(case.world, name)


def run(case: Case) -> None:
    """A command line from the grammar; now and then in a process of its own."""
    rng, world = case.rng, case.world
    command = rng.choices(list(COMMANDS), WEIGHTS)[0]
    words = [command]
    named = {
        "WRITER": str(world.writer),
        "TALKER": str(world.talker),
        "POEMS": str(world.poems),
        "SUMS": str(world.sums),
    }
    if command in MACHINE[:4] and rng.random() < 0.9:
        words.append(rng.choice(PROMPTS) if rng.random() < 0.8 else odd_text(rng, 40, surrogates=False))
    elif command in ("train", "eval", "bench"):
        words += rng.sample([*named.values(), "nowhere", "-", "", "x" * 300], rng.choice([0, 1, 1, 1, 1, 2]))
    options = COMMANDS[command]
    for option in rng.sample(list(options), min(len(options), rng.choice([0, 1, 1, 2, 3, 6]))):
        values = options[option]
        if values is None:
            words.append(option)
            continue
        value = rng.choice(WILD if rng.random() < 0.15 and option not in TAME else values.split(" "))
        value = named.get(value, value)
        words += rng.choice([[option, value], [f"{option}={value}"], [option, value], [option]])
    if rng.random() < 0.9 and command in MACHINE[:6]:
        words += ["-m", rng.choice([str(world.writer), str(world.talker), str(world.talker)])]
    elif rng.random() < 0.3 and command != "chat":
        words += ["--model", rng.choice(WILD)]
    if command == "train":
        words += _small(case, words)
    if command == "bench":  # which would train in earnest
        words += ["--minutes", rng.choice(["x", "", "x", "nan"])]
    if command in MACHINE[:4] and not any(word.startswith("--length") for word in words):
        words += ["--length", "4"]
    if rng.random() < 0.05:
        words.insert(rng.randrange(len(words) + 1), rng.choice(WILD))
    words = [word.replace("\0", "") for word in words]
    lengths = [after for word, after in itertools.pairwise([*words, ""]) if word == "--length"]
    lengths += [word.removeprefix("--length=") for word in words if word.startswith("--length=")]
    if any(length.isdecimal() and not 0 < int(length[:9]) < 100 for length in lengths):  # as long as was asked for
        return
    stdin = rng.choice([b"", "床前".encode(), rng.randbytes(30), b"\xff" * 9, "好\n".encode() * 99])
    process = case.number % PROCESSES == 11 and not any(len(word) > 50_000 for word in words)
    done = case.command(*words, stdin=stdin, process=process)
    if done.code == 0 and "--json" in words and command in MACHINE and "--help" not in words:
        _strict(done.out)


def _small(case: Case, words: list[str]) -> list[str]:
    """What keeps a training short, wherever nothing else is said."""
    given = {word.split("=")[0] for word in words}
    small: list[str] = []
    for option, value in zip((*SMALL[::2], "--steps"), (*SMALL[1::2], "1"), strict=True):
        if option not in given and not (option == "--steps" and "--epochs" in given):
            small += [option, value]
    return [*small, "--dry-run"] if case.rng.random() < 0.8 or {"--steps", "--epochs"} & given else small


def _strict(out: str) -> None:
    """JSON for programs is JSON: no NaN, which many of them refuse."""

    def refuse(name: str) -> None:
        raise Failure(f"{name} in JSON: {out[:300]}")

    json.loads(out, parse_constant=refuse)
