"""What the program reads beside its work: the app's settings, TOML files of options, environment variables."""

from __future__ import annotations

import json
import os
from unittest import mock

from charrnn import cache
from tests.faults.fuzz_cases import SMALL, Case, Failure, altered, as_json, odd_text, spoiled
from tui.settings import Settings

OPTIONS = (
    "cell", "layers", "width", "steps", "epochs", "minutes", "batch", "window", "tied", "memory", "seed", "threads",
    "tokenizer", "errors", "keep", "learning-rate", "learning_rate", "out", "valid", "resume", "overwrite",
    "init-from", "json", "config", "sources", "dry-run", "summary", "nonsense", "store", "device", "prose",
)  # fmt: skip


def prepare(case: Case) -> None:
    """A text that is in the cache."""
    _ = case.world.poems


def run(case: Case) -> None:
    case.rng.choices([_app, _toml, _variable], [6, 5, 2])[0](case)


def _app(case: Case) -> None:
    rng, path = case.rng, case.folder / "settings.json"
    values = {"theme": "dark", "language": "zh", "pace": "full"}
    what = rng.randrange(8)
    if what == 0:
        path.write_bytes(rng.randbytes(rng.choice([0, 1, 300, 100_000])))
    elif what == 1:
        path.write_bytes(b"[" * rng.choice([10, 2000, 300_000]))
    elif what == 2:
        path.write_bytes(b'{"theme": "' + b"x" * (50 << 20 if case.number % 20 == 0 else 99) + b'"}')
    elif what == 3:
        path.symlink_to(rng.choice(["nowhere", "settings.json", "/dev/zero", ".."]))
    elif what == 4:
        os.mkfifo(path)
    elif what == 5:
        path.write_text('{"language": ' + "9" * 5000 + "}")
    else:
        path.write_bytes(
            spoiled(rng, as_json(rng, altered(rng, values))) if what == 6 else as_json(rng, altered(rng, values))
        )
    settings = Settings(path)
    if settings.get("language", "zh", "en") not in (None, "zh", "en"):
        raise Failure("a setting that is none of those there are")
    settings.put(odd_text(rng, 5), rng.choice(["zh", odd_text(rng, 20)]))
    settings.put("language", "en")
    if Settings(path).get("language", "zh", "en") not in ("en", None):
        raise Failure("a setting was not kept")


def _value(case: Case, deep: int = 2) -> str:
    rng = case.rng
    if deep and rng.random() < 0.15:
        return "[" + ", ".join(_value(case, deep - 1) for _ in range(rng.randrange(4))) + "]"
    return rng.choice(
        [
            "1",
            "-1",
            "0",
            "0.5",
            "nan",
            "inf",
            "-inf",
            "true",
            "false",
            '""',
            '"x"',
            '"gru"',
            "1979-05-27",
            "9" * 30,
            "1e308",
            "9" * 5000,
            '"a\\u0000b"',
            '"\\u001b[2J"',
            "{a = 1}",
            "07:32:00",
            '"""\nx\ny"""',
            "[]",
            "{}",
            "0x10",
            "1_000",
            '"-"',
            '"1"',
            '"true"',
            json.dumps(odd_text(rng, 9, surrogates=False)),
        ]
    )


def _toml(case: Case) -> None:
    """`train --config`, never to train: what is left to do is rehearsed."""
    rng = case.rng
    lines = [f"{rng.choice(OPTIONS)} = {_value(case)}" for _ in range(rng.randrange(5))]
    if rng.random() < 0.2:
        lines.insert(
            rng.randrange(len(lines) + 1),
            rng.choice(["[train]", "[a.b]", "[[x]]", "= 3", "a = ", '"" = 1', "a.b.c = 1", "# \x1b", "a = {" * 3000]),
        )
    data = "\n".join(lines).encode("utf-8", "replace")
    if rng.random() < 0.2:
        data = rng.choice([rng.randbytes(200), spoiled(rng, data), b"\xff\xfe" + data, data.decode().encode("utf-16")])
    case.write("run.toml", data)
    words = ["train", str(case.world.poems), "--steps", "1", *SMALL[4:8], "--dry-run"]
    if rng.random() < 0.9:
        words += rng.choice(
            [
                ["--layers", "1", "--width", "16", "--threads", "1"],
                ["--layers", "1", "--width", "16", "--threads", "1", "--batch", "4"],
            ]
        )
    else:
        words += ["--threads", "1"]
    config = rng.choice(
        [["--config", "run.toml"]] * 4
        + [
            ["--config=run.toml"],
            ["--config"],
            ["--config", "."],
            ["--config", "/dev/null"],
            ["--config", ""],
            ["--config", "nowhere.toml"],
        ]
    )
    case.command(*words, *config)


def _variable(case: Case) -> None:
    rng = case.rng
    given = rng.choice(
        [
            "",
            "nan",
            "inf",
            "-inf",
            "-1",
            "1e308",
            "1e-9",
            "x",
            "０",
            "10",
            "1_0",
            " 5 ",
            odd_text(rng, 5, surrogates=False).replace("\0", ""),
        ]
    )
    with mock.patch.dict(os.environ, {cache.LIMIT_VARIABLE: given, "XDG_CACHE_HOME": str(case.folder / "cache")}):
        case.command("cache", *rng.choice([(), ("--json",), ("--clear",)]))
        if rng.random() < 0.3:
            case.command("train", str(case.world.poems), "--steps", "1", *SMALL, "--dry-run")
