"""Model folders that were damaged, or made to harm: the one that ships, small ones, and one in training."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from charrnn.catalogue import describe, find_models
from charrnn.paths import pretrained
from tests.faults.fuzz_cases import POEM, UNEXPECTED, Case, Failure, altered, as_json, flipped, hashes, spoiled

MODELS = ("writer", "talker", "gated", "unfinished", "shipped")
WEIGHTS = (5, 5, 4, 4, 1)
TENSORS = ("model.safetensors", "memory.safetensors", "training_state.safetensors")
MET = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, struct.error, SafetensorError)
"""What a harm meets where another one was before it: then it does none."""
DTYPES = (
    "F64",
    "F32",
    "F16",
    "BF16",
    "F8_E4M3",
    "F8_E5M2",
    "I64",
    "I32",
    "I16",
    "I8",
    "U8",
    "U16",
    "U64",
    "BOOL",
    "C64",
    "X9",
    "",
    3,
)


def prepare(case: Case) -> None:
    """The whole models, and tokenizers of other makers."""
    for name in MODELS:
        getattr(case.world, name)
    foreign(case)


def run(case: Case) -> None:
    """Spoil a copy of a model folder, and use it in every way there is."""
    rng = case.rng
    base = rng.choices(MODELS, WEIGHTS)[0]
    folder = case.folder / "m"
    shutil.copytree(getattr(case.world, base), folder, copy_function=os.link)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        with contextlib.suppress(*MET):
            rng.choices(HARMS, HARM_WEIGHTS)[0](case, folder)
        if rng.random() < 0.75:
            mend(folder)
    use(case, folder, base)


def replace(file: Path, data: bytes) -> None:
    """Other bytes under a name; the file that a link goes to stays as it is."""
    if file.is_dir() and not file.is_symlink():
        shutil.rmtree(file)
    file.unlink(missing_ok=True)
    file.write_bytes(data)


def mend(folder: Path) -> None:
    """Make the hashes fit, as one who means harm would."""
    try:
        info = json.loads(_bytes(folder / "config.json"))
        info["sha256"] = hashes(folder)
    except (OSError, ValueError, TypeError, RecursionError):
        return
    replace(folder / "config.json", json.dumps(info).encode())


def use(case: Case, folder: Path, base: str) -> None:
    """What a person would do with it: list, inspect, generate, ask, score, train on."""
    rng, name = case.rng, "./m"
    case.call(describe, folder)
    if rng.random() < 0.05:
        (case.folder / "models").mkdir(exist_ok=True)
        (case.folder / "models" / "x").symlink_to(folder)
        case.call(find_models)
    if rng.random() < 0.4:
        done = case.command("info", "-m", name, *rng.choice([(), (), ("--json",)]))
        if done.code == 0 and "\x1b" in done.out:
            raise Failure("info lets a model steer the terminal")
    memory = rng.choice([("--memory",), ("--memory",), ()])
    process = case.number % 300 == 7
    words = ("generate", "床前", "-m", name, "--length", "8", "--seed", "1", "--json", *memory)
    done = case.command(*words, process=process)
    if done.code == 0 and len(json.loads(done.out)["text"]) != 8:
        raise Failure(f"eight characters were asked for: {done.out}")
    if done.code == 0 or rng.random() < 0.02:
        case.command("ask", "三加一是几", "-m", name, "--length", "6", *memory)
        done = case.command("look", "床", "-m", name, "--length", "3", *memory)
        (case.folder / "t.txt").write_text(POEM, encoding="utf-8")
        done = case.command("eval", "t.txt", "-m", name, "--json", *memory)
        if done.code == 0 and json.loads(done.out)["bits_per_character"] is None:
            raise Failure(f"a figure that is none: {done.out}")
        if rng.random() < 0.1:
            case.command(
                "train", str(case.world.poems), "--init-from", name, "--steps", "1", "--threads", "1", "--dry-run"
            )
    if base == "unfinished":
        _resume(case, folder)


def _resume(case: Case, folder: Path) -> None:
    if case.command("train", "--resume", "--out", "./m", "--dry-run").code != 0:
        return

    from charrnn.dataset import prepare as prepare_text
    from charrnn.training import Trainer

    def reopen(settings: dict[str, Any]) -> Any:
        return prepare_text([str(case.world.poems)], kind="char")

    def steps() -> None:
        trainer = Trainer.resume(folder, reopen)
        for _ in itertools.islice(trainer.run(), 3):
            pass

    case.call(steps)


# Harms ---------------------------------------------------------------------------------------------------------------


def _some(case: Case, folder: Path, *names: str) -> Path:
    """A file of a folder, one of these if there is one."""
    files = sorted(file for file in folder.iterdir() if not names or file.name in names)
    return case.rng.choice(files) if files else folder / (names or ("config.json",))[0]


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes() if file.is_file() else b""
    except OSError:
        return b""


def _spoil(case: Case, folder: Path) -> None:
    file = _some(case, folder)
    replace(file, spoiled(case.rng, _bytes(file)))


def _cut(case: Case, folder: Path) -> None:
    file = _some(case, folder)
    data = _bytes(file)
    replace(file, data[: case.rng.randrange(len(data) // 1024 + 1) * 1024])


def _flip(case: Case, folder: Path) -> None:
    file = _some(case, folder, *TENSORS, "tokenizer.model")
    replace(file, flipped(case.rng, _bytes(file), case.rng.choice([1, 3, 200])))


def _missing(case: Case, folder: Path) -> None:
    _some(case, folder).unlink(missing_ok=True)


def _header(case: Case, folder: Path) -> None:
    """The header of a file of tensors: shapes, types and places that lie, and its own length."""
    rng, file = case.rng, _some(case, folder, *TENSORS)
    data = _bytes(file)
    try:
        (length,) = struct.unpack("<Q", data[:8])
        header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
        names = [name for name in header if name != "__metadata__"]
        name = rng.choice(names)
        entry = header[name]
        what = rng.randrange(7)
        if what == 0:
            entry["shape"] = rng.choice(
                [
                    [2**40, 2**40],
                    [-1],
                    [0],
                    [],
                    [2**63, 2],
                    [1.5],
                    ["3"],
                    None,
                    entry["shape"][::-1],
                    [*entry["shape"], 1],
                    [2**32] * 4,
                ]
            )
        elif what == 1:
            entry["dtype"] = rng.choice(DTYPES)
        elif what == 2:
            entry["data_offsets"] = rng.choice(
                [[0, 0], [-1, 4], [0, 2**63], [10, 5], [0], None, ["0", "4"], [2**64, 2**64 + 4], [0, 4]]
            )
        elif what == 3:
            other = rng.choice(names)
            header[name], header[other] = header[other], header[name]
        elif what == 4:
            header[rng.choice(["x", name + ".scale", "__metadata__", "../x", ""])] = rng.choice(
                [entry, {"a": 1}, None, 3]
            )
        elif what == 5:
            header = altered(rng, header, rng.choice([1, 3]))
        else:
            del header[name]
        head = json.dumps(header).encode()
        head += b" " * (-len(head) % 8)
        length = (
            len(head)
            if rng.random() < 0.9
            else rng.choice([0, 1, 2**31, 2**63, 2**64 - 1, len(head) + 1, len(head) - 1])
        )
        replace(file, struct.pack("<Q", length) + head + body)
    except (struct.error, ValueError, AttributeError, TypeError, IndexError, KeyError):
        replace(file, spoiled(rng, data))


def _values(case: Case, folder: Path) -> None:
    """Well-formed tensors with numbers that harm."""
    rng, file = case.rng, _some(case, folder, *TENSORS)
    tensors = dict(load_tensors(_bytes(file)))
    for name in rng.sample(sorted(tensors), min(len(tensors), rng.choice([1, 1, 2, 50]))):
        tensor = tensors[name].copy()
        what = rng.randrange(8)
        if what == 0:
            kinds = [np.float64, np.float32, np.float16, np.int8, np.uint8, np.int64, np.bool_, np.uint32]
            with np.errstate(all="ignore"):
                tensor = tensor.astype(rng.choice(kinds))
        elif what == 1:
            tensor = tensor.reshape(-1) if rng.random() < 0.5 else tensor[..., None]
        elif what == 2:
            tensor = tensor[: len(tensor) // 2] if tensor.ndim else tensor[None]
        elif what == 3:
            del tensors[name]
            continue
        elif tensor.dtype.kind == "f":
            wild = [
                np.nan,
                np.inf,
                -np.inf,
                65504,
                -65504,
                1e-30,
                0,
                1e4,
                *([3e38, -3e38, 1e30, 1e20] if tensor.itemsize > 2 else []),
            ]
            if what == 4 and tensor.size:
                tensor.reshape(-1)[rng.randrange(tensor.size)] = rng.choice(wild)
            elif what == 5:
                tensor[...] = rng.choice(wild)
            else:
                with np.errstate(over="ignore", invalid="ignore"):
                    tensor = (
                        tensor
                        * tensor.dtype.type(
                            rng.choice([0, -1, 1e3, 1e4, 1e8, 1e20] if tensor.itemsize > 2 else [0, -1, 1e3, 1e4])
                        )
                    ).astype(tensor.dtype)
        elif tensor.size:
            limits = np.iinfo(tensor.dtype) if tensor.dtype.kind in "iu" else None
            tensor.reshape(-1)[rng.randrange(tensor.size)] = (
                rng.choice([0, 1, limits.max, limits.min]) if limits else True
            )
        tensors[name] = np.ascontiguousarray(tensor)
    replace(file, save_tensors(tensors))


def _config(case: Case, folder: Path) -> None:
    """A record with something unexpected in it."""
    rng, file = case.rng, _some(case, folder, "config.json", "training_state.json")
    record = json.loads(_bytes(file))
    replace(file, as_json(rng, altered(rng, record, rng.choice([1, 1, 2, 5]))))


def _shape(case: Case, folder: Path) -> None:
    """Another architecture than the weights have."""
    rng = case.rng
    record = json.loads(_bytes(folder / "config.json"))
    key = rng.choice(["cell", "layers", "width", "feedforward", "tied", "summary", "vocabulary", "sharpness"])
    wild = [*UNEXPECTED, "gru", "lstm", "rnn", "mingru", 64, 16384, 65536, 2**20, 1.0, 16.0, 1e-30, 99.0, True]
    record["model"][key] = rng.choice(wild)
    replace(folder / "config.json", json.dumps(record).encode())


def _tricks(case: Case, folder: Path) -> None:
    """Links, folders, pipes and names that lead elsewhere."""
    rng, file = case.rng, _some(case, folder)
    what = rng.randrange(7)
    if what == 0:
        record = json.loads(_bytes(folder / "config.json"))
        record["sha256"] = {**record["sha256"], rng.choice(["../x", "/etc/passwd", "a\0b", ""]): "0" * 64}
        replace(folder / "config.json", json.dumps(record).encode())
        return
    if file.is_dir() and not file.is_symlink():
        shutil.rmtree(file)
    file.unlink(missing_ok=True)
    if what == 1:
        file.mkdir()
    elif what == 2:
        os.mkfifo(file)
    elif what == 3:
        file.symlink_to(file.name)
    elif what == 4:
        file.symlink_to(rng.choice(["/dev/zero", "/dev/null", "/etc/passwd", "/proc/self/mem", "nowhere", ".."]))
    elif what == 5:
        file.symlink_to(pretrained() / file.name)
    else:
        target = case.folder / "elsewhere"
        target.write_bytes(_bytes(case.world.writer / file.name))
        file.symlink_to(target)


def _pickle(case: Case, folder: Path) -> None:
    replace(_some(case, folder), case.world.pickle)


def foreign(case: Case) -> list[bytes]:
    """Tokenizers of SentencePiece that are not ours."""
    file = case.world.folder / "foreign"
    if not file.exists():
        import io

        from sentencepiece import SentencePieceTrainer

        made, exact = [], {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
        kinds: list[dict[str, Any]] = [
            {"model_type": "char", "vocab_size": 60},
            {"model_type": "word", "vocab_size": 40},
        ]
        bytewise = {"vocab_size": 300, "byte_fallback": True}
        kinds += [{"model_type": "bpe", **bytewise}, bytewise, {**bytewise, **exact, "add_dummy_prefix": False}]
        for options in kinds:
            model = io.BytesIO()
            options |= {"sentence_iterator": iter([" ".join(POEM), "a b c " * 9, *POEM.splitlines()])}
            SentencePieceTrainer.Train(model_writer=model, hard_vocab_limit=False, minloglevel=2, **options)
            made.append(model.getvalue())
        file.write_text(json.dumps([model.hex() for model in made]))
    return [bytes.fromhex(model) for model in json.loads(file.read_text())]


def _tokenizer(case: Case, folder: Path) -> None:
    """Another tokenizer, with the vocabulary in the config made to fit, or its own one changed piece by piece."""
    rng, file = case.rng, folder / "tokenizer.model"
    what = rng.randrange(5)
    if what == 0:
        data = rng.randbytes(rng.choice([0, 10, 5000]))
    elif what == 1:
        data = rng.choice(foreign(case))
    elif what == 2:
        data = _bytes(getattr(case.world, rng.choice(["writer", "talker", "gated"])) / "tokenizer.model")
    else:
        data = _pieces(case, _bytes(file))
    replace(file, data)
    if data and rng.random() < 0.5:
        from sentencepiece import SentencePieceProcessor

        record = json.loads(_bytes(folder / "config.json"))
        record["model"]["vocabulary"] = SentencePieceProcessor(model_proto=data).piece_size()
        replace(folder / "config.json", json.dumps(record).encode())


def _pieces(case: Case, data: bytes) -> bytes:
    """A model of SentencePiece with some pieces changed, doubled or lost."""
    rng = case.rng
    parts, at = [], 0
    while at < len(data):  # fields of one byte of key and a length, as all of them are
        length, shift, place = 0, 0, at + 1
        while place < len(data):
            length |= (data[place] & 127) << shift
            shift, place = shift + 7, place + 1
            if not data[place - 1] & 128:
                break
        parts.append(bytearray(data[at : place + length]))
        at = place + length
    for _ in range(rng.choice([1, 2, 20])):
        if not parts:
            break
        n = rng.randrange(len(parts))
        what = rng.randrange(5)
        if what == 0:
            del parts[n]
        elif what == 1:
            parts.insert(n, bytearray(parts[rng.randrange(len(parts))]))
        elif what == 2:
            other = rng.randrange(len(parts))
            parts[n], parts[other] = parts[other], parts[n]
        else:
            part = parts[n]
            part[rng.randrange(len(part))] ^= 1 << rng.randrange(8)
    return b"".join(parts)


def _metrics(case: Case, folder: Path) -> None:
    rng, file = case.rng, folder / "metrics.jsonl"
    rows = [json.loads(row) for row in _bytes(file).splitlines()[:3] if row.startswith(b"{")]
    replace(file, b"\n".join(as_json(rng, altered(rng, row)) for row in rows))


HARMS: list[Callable[[Case, Path], None]] = [
    _spoil, _cut, _flip, _missing, _header, _values, _config, _shape, _tricks, _pickle, _tokenizer, _metrics
]  # fmt: skip
HARM_WEIGHTS = [4, 4, 6, 1, 6, 8, 9, 4, 3, 2, 5, 1]
