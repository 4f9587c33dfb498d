"""A model folder: written whole or not at all, and read without trust.

    config.json          architecture, training settings, corpus, versions, held-out figures, hashes of the three below
    model.safetensors    the weights, by the names of `engine.parameter_shapes`
    memory.safetensors   the training text as an n-gram model, and its gate; not of every model
    tokenizer.model      SentencePiece
    README.md            the model card
    metrics.jsonl        a line an evaluation
    training_state.*     while training: all that an exact resume needs

A save goes into a sibling folder, is synced, and takes the old one's place by two renames. A process killed between
them leaves `.NAME.previous`, which every reader knows. No pickle anywhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save

from charrnn.catalogue import FORMAT, first_line, read_info
from charrnn.config import ModelConfig
from charrnn.engine import parameter_shapes
from charrnn.errors import CharRNNError, ModelError
from charrnn.memory import EXPERTS, FEATURES, Gate, Memory, NGrams, sorted_by_context
from charrnn.numerics import Array
from charrnn.paths import CONFIG, readable, sibling
from charrnn.tokenizer import Tokenizer

WEIGHTS = "model.safetensors"
MEMORY = "memory.safetensors"
TOKENIZER = "tokenizer.model"
CARD = "README.md"
STATE_TENSORS = "training_state.safetensors"
SCALE = ".scale"
# What safetensors raises for files that are none, the last three for types that numpy does not know.
UNREADABLE = (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError)
LARGEST = 1e9  # of a weight: with larger ones its sums may be no numbers
TRIES = 20  # of reading while saves replace what is read
SLACK = 1 << 20  # of a weights file for its header
LARGEST_MEMORY = 80_000_000 + SLACK  # ten million tokens, of a large vocabulary
SORTED_WHEN_READ = 2_000_000  # tokens: in about a second
GATE_SHAPES = {"w_1": (FEATURES, None), "b_1": (None,), "w_2": (None, EXPERTS), "b_2": (EXPERTS,)}


@dataclass(frozen=True)
class StoredModel:
    """What a model folder holds, checked; the memory, which not every use needs, when it is read."""

    path: Path
    config: ModelConfig
    info: dict[str, Any]
    weights: dict[str, Array]
    tokenizer: Tokenizer

    @property
    def has_memory(self) -> bool:
        """Whether there is one to read: it holds a text, and may have been taken out."""
        hashes = self.info["sha256"]
        return MEMORY in hashes and (_folder(self.path) / MEMORY).exists()

    def read_memory(self) -> Memory:
        """The n-gram memory, checked. ModelError says what is wrong."""
        file = _folder(self.path) / MEMORY
        _checked(file, self.info, most=LARGEST_MEMORY, keep=False)
        return _read_memory(file, self.config.vocabulary)


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Make `path` a folder of just these files, whole or not at all.

    Raises ModelError when the disk is full or the place cannot be written; the present folder then stays.
    """
    path = path.resolve()  # a link to another disk stays one
    new, previous = sibling(path, "new"), sibling(path, "previous")
    try:
        recover(path)
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        for name, data in files.items():
            _write_synced(new / name, data)
        _sync_folder(new)
        if path.exists():
            path.rename(previous)
        new.rename(path)
        _sync_folder(path.parent)
        shutil.rmtree(previous, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(new, ignore_errors=True)
        raise ModelError(
            f"{path}: the model could not be saved ({error.strerror or error}); "
            "the last save is whole: free some room or mend the folder's rights, then go on with --resume"
        ) from error


def recover(path: Path) -> None:
    """Put back what a save that was killed between its renames had set aside. Only a writer may call this."""
    previous = sibling(path, "previous")
    if previous.is_dir():
        if path.exists():
            shutil.rmtree(previous)
        else:
            previous.rename(path)


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def rehearse_writing(path: Path, files: Mapping[str, bytes]) -> None:
    """Write the files beside `path`, to see that it can be done and how long it takes, and leave no trace."""
    beside = path.absolute().parent
    new_parents = [folder for folder in (beside, *beside.parents) if not folder.exists()]
    rehearsal = sibling(path, "rehearsal")
    try:
        write_folder(rehearsal, files)
    finally:
        shutil.rmtree(rehearsal, ignore_errors=True)
        for folder in new_parents:
            with contextlib.suppress(OSError):
                folder.rmdir()


def rounded(weights: Mapping[str, Array], store: str) -> dict[str, Array]:
    """The weights as they read back after being stored."""
    stored = load(weights_bytes(weights, store))
    return {name: _unpacked(stored[name], stored.get(name + SCALE)) for name in weights}


def weights_bytes(weights: Mapping[str, np.ndarray[Any, Any]], store: str) -> bytes:
    """The weights as a safetensors file: float32; float16, if no number is too large for it; or matrices in int8.

    A row w of those is round(w / s), with s = max |w| / 127 beside it.
    """
    if store == "float32" or not all(np.abs(w).max(initial=0) < 65504 for w in weights.values()):
        return save({name: np.ascontiguousarray(w, np.float32) for name, w in weights.items()})
    packed: dict[str, np.ndarray[Any, Any]] = {}
    for name, w in weights.items():
        if store == "int8" and w.ndim == 2:
            scale = np.abs(w).max(axis=1, initial=1e-12).astype(np.float32) / np.float32(127)
            packed[name], packed[name + SCALE] = np.rint(w / scale[:, None]).astype(np.int8), scale
        else:
            packed[name] = np.ascontiguousarray(w, np.float16)
    return save(packed)


def _unpacked(stored: np.ndarray[Any, Any], scale: Array | None) -> Array:
    weights = stored.astype(np.float32)
    return weights if scale is None else weights * scale[:, None]


def memory_bytes(memory: Memory) -> bytes:
    """The memory as a safetensors file; a short text's positions are sorted anew when it is read."""
    ngrams = memory.ngrams
    parts = {"tokens": ngrams.tokens, **asdict(memory.gate)}
    if len(ngrams.tokens) > SORTED_WHEN_READ:
        parts["positions"] = ngrams.positions
    return save({name: np.ascontiguousarray(part) for name, part in parts.items()})


def config_bytes(info: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    """`config.json`: the format, what is known of the model, and the hashes that guard the files beside it."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return (json.dumps({"format": FORMAT, **info, "sha256": hashes}, ensure_ascii=False, indent=2) + "\n").encode()


def file_hashes(path: Path) -> dict[str, str]:
    """SHA-256 of every file of a model folder."""
    folder = _folder(path)
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(folder.iterdir()) if f.is_file()}


def _folder(path: Path) -> Path:
    return readable(path) or path


def read_model(path: Path, tries: int = TRIES) -> StoredModel:
    """A model folder, checked against its hashes, the weights as float32. ModelError says what is wrong.

    It is read once more where a save took its place meanwhile, as half of the files would be of the old folder.
    """
    before = _identity(path)
    try:
        stored = _read_model(path)
    except ModelError:
        if tries == 1 or _identity(path) == before:
            raise
    else:
        if tries == 1 or _identity(path) == before:
            return stored
    return read_model(path, tries - 1)


def _identity(path: Path) -> tuple[Path, int, int] | None:
    """Which folder stands there."""
    folder = _folder(path)
    try:
        found = folder.stat()
    except OSError:
        return None
    return folder, found.st_ino, found.st_mtime_ns


def _read_model(path: Path) -> StoredModel:
    info = read_info(path)
    folder = _folder(path)
    try:
        config = ModelConfig(**info["model"])
        shapes = parameter_shapes(config)
    except (TypeError, CharRNNError) as error:
        raise ModelError(f"{path / CONFIG}: the architecture makes no sense ({first_line(error)})") from None
    tokenizer_bytes = _checked(folder / TOKENIZER, info, most=64 << 20)
    tokenizer = Tokenizer(tokenizer_bytes)
    if tokenizer.size != config.vocabulary:
        raise ModelError(f"{path}: the tokenizer has {tokenizer.size} tokens and the network {config.vocabulary}")
    size = 4 * sum(int(np.prod(shape, dtype=np.float64)) for shape in shapes.values())
    _checked(folder / WEIGHTS, info, most=size + SLACK, keep=False)
    return StoredModel(path, config, info, _read_weights(folder / WEIGHTS, shapes), tokenizer)


def _checked(file: Path, info: Mapping[str, Any], *, most: int, keep: bool = True) -> bytes:
    """The file's bytes (or nothing, if they are not to be kept), after its size and hash were found right."""
    hashes = info.get("sha256")
    wanted = hashes.get(file.name) if isinstance(hashes, dict) else None
    try:
        if not file.is_file() or not 0 < file.stat().st_size <= most:
            raise ModelError(f"{file}: missing, empty, or larger than the model it belongs to")
        if not keep:
            with file.open("rb") as stream:
                found, data = hashlib.file_digest(stream, "sha256").hexdigest(), b""
        else:
            data = file.read_bytes()
            found = hashlib.sha256(data).hexdigest()
    except OSError as error:
        raise ModelError(f"{file}: cannot be read ({error.strerror})") from None
    if found != wanted:
        raise ModelError(f"{file}: damaged, its bytes are not those that were saved; get the model anew")
    return data


def _read_memory(file: Path, vocabulary: int) -> Memory:
    try:
        with safe_open(file, framework="numpy") as tensors:
            parts = {name: tensors.get_tensor(name) for name in ("tokens", *GATE_SHAPES)}
            positions = tensors.get_tensor("positions") if "positions" in set(tensors.keys()) else None
        hidden = parts["b_1"].size
        for name, shape in GATE_SHAPES.items():
            wanted = tuple(hidden if size is None else size for size in shape)
            if parts[name].shape != wanted or parts[name].dtype != np.float32 or not np.isfinite(parts[name]).all():
                raise ModelError(f"{file}: {name} is not what a gate has")
        tokens = parts.pop("tokens")
        _check_numbers(file, "tokens", tokens, tokens.size, vocabulary, (np.uint16, np.uint32))
        if positions is None:
            positions = sorted_by_context(tokens)
        else:
            _check_numbers(file, "positions", positions, len(tokens), len(tokens), (np.uint32,))
        return Memory(NGrams(tokens, positions, vocabulary), Gate(**parts))
    except UNREADABLE as error:
        raise ModelError(f"{file}: damaged ({first_line(error)})") from None


def _check_numbers(
    file: Path, name: str, numbers: np.ndarray[Any, Any], count: int, limit: int, types: tuple[type, ...]
) -> None:
    """That these are so many numbers, one at least, of one of the types and below a limit."""
    if numbers.shape != (count,) or not count or numbers.dtype not in types:
        raise ModelError(f"{file}: its {name} have another shape or type than a memory's")
    if int(numbers.max()) >= limit:
        raise ModelError(f"{file}: its {name} reach beyond what there is")


def _read_weights(file: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    weights: dict[str, Array] = {}
    try:
        with safe_open(file, framework="numpy") as tensors:
            present = set(tensors.keys())
            scales = {name: name + SCALE for name in shapes if name + SCALE in present}
            if present != {*shapes, *scales.values()}:
                raise ModelError(f"{file}: other tensors than the architecture has")
            for name, shape in shapes.items():
                view, scale = tensors.get_slice(name), None
                fits = tuple(view.get_shape()) == shape
                if name in scales:
                    scale = tensors.get_tensor(scales[name])
                    fits &= view.get_dtype() == "I8" and len(shape) == 2
                    fits &= scale.shape == shape[:1] and scale.dtype == np.float32 and bool(np.isfinite(scale).all())
                else:
                    fits &= view.get_dtype() in ("F16", "F32")
                if not fits:
                    raise ModelError(f"{file}: tensor {name} has another shape or type than the architecture")
                weights[name] = _unpacked(tensors.get_tensor(name), scale)
                if not -LARGEST < weights[name].min(initial=0) <= weights[name].max(initial=0) < LARGEST:
                    raise ModelError(f"{file}: tensor {name} holds values that are no numbers, or no network's")
    except UNREADABLE as error:
        raise ModelError(f"{file}: damaged ({first_line(error)})") from None
    return weights
