"""Model folders: written whole or not at all, refused with one line when anything about them is wrong."""

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

import charrnn
from charrnn import checkpoint, finishing
from charrnn.catalogue import describe, find_models, read_info
from charrnn.checkpoint import memory_bytes, read_model, rounded, weights_bytes, write_folder
from charrnn.config import ModelConfig
from charrnn.engine import parameter_shapes
from charrnn.errors import CharRNNError, ModelError, TrainingError
from charrnn.memory import EXPERTS, FEATURES, sorted_by_context
from charrnn.paths import claimed, find_model, new_model_paths, newest_unfinished, pretrained, readable, sibling
from charrnn.vocabulary import train_tokenizer

GUARDED = ["model.safetensors", "tokenizer.model", "memory.safetensors"]


@pytest.fixture(scope="module")
def model_files():
    tokenizer = train_tokenizer(["床前明月光，床前明月光。" * 3], "char")
    config = ModelConfig(cell="gru", layers=1, width=8, tied=True, vocabulary=tokenizer.size)
    rng = np.random.default_rng(0)
    weights = {n: rng.normal(0, 0.1, s).astype(np.float16) for n, s in parameter_shapes(config).items()}
    data = save(weights)
    info = {"name": "small", "model": {"cell": "gru", "layers": 1, "width": 8, "tied": True,
                                       "vocabulary": tokenizer.size}}  # fmt: skip
    files = {
        "model.safetensors": data,
        "tokenizer.model": tokenizer.model,
        "memory.safetensors": memory(tokenizer.size),
    }
    return {"config.json": checkpoint.config_bytes(info, files), **files}


def memory(vocabulary: int, **changed: np.ndarray) -> bytes:
    """A memory's file, also a harmful one."""
    rng = np.random.default_rng(1)
    tokens = rng.integers(0, vocabulary, 300).astype(np.uint16)
    gate = {"w_1": (FEATURES, 3), "b_1": (3,), "w_2": (3, EXPERTS), "b_2": (EXPERTS,)}
    parts = {name: rng.normal(0, 1, shape).astype(np.float32) for name, shape in gate.items()}
    return save({"tokens": tokens, "positions": sorted_by_context(tokens), **parts, **changed})


@pytest.fixture
def model(tmp_path, model_files):
    write_folder(tmp_path / "small", model_files)
    return tmp_path / "small"


def rehashed(model, **files):
    """The folder with other files, its hashes made to fit: harm done with care."""
    for name, data in files.items():
        (model / name.replace("__", ".")).write_bytes(data)
    info = json.loads((model / "config.json").read_text())
    info.pop("sha256")
    guarded = {name: (model / name).read_bytes() for name in GUARDED}
    (model / "config.json").write_bytes(checkpoint.config_bytes(info, guarded))


def test_a_model_comes_back_as_it_was_stored(model, model_files):
    stored = read_model(model)
    for name, array in load(model_files["model.safetensors"]).items():
        np.testing.assert_array_equal(stored.weights[name], array.astype(np.float32))
    assert stored.config.cell == "gru"
    assert len("".join(charrnn.load(model).generate("床", length=20, seed=1))) == 20


def test_it_is_found_by_path_and_by_name(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    shutil.copytree(model, tmp_path / "models" / "other")
    assert find_model(model) == model
    assert read_model(find_model("small")).config.width == 8
    assert find_model("other").name == "other"
    for wrong in ("nothing", "", "a\0b", "models", tmp_path / "small" / "config.json"):
        with pytest.raises(ModelError):
            find_model(wrong)


@pytest.mark.parametrize("name", ["config.json", *GUARDED])
def test_a_file_cut_anywhere_is_refused(model, name):
    data = (model / name).read_bytes()
    for length in {0, 1, 7, 8, 9, *range(0, len(data) - 2, max(1, len(data) // 25)), len(data) - 2}:
        (model / name).write_bytes(data[:length])
        with pytest.raises(ModelError) as error:
            charrnn.load(model, memory=True)
        assert "\n" not in str(error.value)
    (model / name).unlink()
    if name != "memory.safetensors":
        with pytest.raises(ModelError):
            charrnn.load(model, memory=True)


@pytest.mark.parametrize("name", GUARDED)
def test_a_flipped_bit_is_found(model, name):
    data = bytearray((model / name).read_bytes())
    for place in range(0, len(data), max(1, len(data) // 40)):
        data[place] ^= 4
        (model / name).write_bytes(data)
        with pytest.raises(ModelError, match="damaged"):
            charrnn.load(model, memory=True)
        data[place] ^= 4


@pytest.mark.parametrize("store", ["float32", "float16", "int8"])
def test_weights_read_back_as_they_were_rounded(model, store):
    rng = np.random.default_rng(2)
    weights = {n: rng.normal(0, 1, w.shape).astype(np.float32) for n, w in read_model(model).weights.items()}
    weights["layers.0.w_h"][3] = 0
    weights["layers.0.w_h"][4] *= 1000
    rehashed(model, model__safetensors=weights_bytes(weights, store))
    found, expected = read_model(model).weights, rounded(weights, store)
    for name, w in weights.items():
        np.testing.assert_array_equal(found[name], expected[name])
        steps = {"float32": 0.0, "float16": 2**-11, "int8": 0.5 / 127 if w.ndim == 2 else 2**-11}
        largest = np.abs(w).max(axis=-1, keepdims=True)
        assert (np.abs(found[name] - w) <= 1.001 * steps[store] * largest).all()


def test_harmful_weights_are_refused_even_with_fitting_hashes(model, model_files):
    weights = load(model_files["model.safetensors"])
    name = "layers.0.w_h"
    cases = [
        {**weights, name: weights[name][:-1]},
        {**weights, name: weights[name].astype(np.float64)},
        {**weights, name: np.full_like(weights[name], np.nan)},
        {**weights, "more": weights[name]},
        {k: v for k, v in weights.items() if k != name},
    ]
    packed = load(weights_bytes(weights, "int8"))
    scale = packed[name + ".scale"]
    cases += [
        {**packed, name + ".scale": scale[:-1]},
        {**packed, name + ".scale": scale.astype(np.float16)},
        {**packed, name + ".scale": np.full_like(scale, np.inf)},
        {**packed, "head.bias.scale": scale},
        {**packed, name: weights[name]},
        {k: v for k, v in packed.items() if k != name + ".scale"},
    ]
    data = [save(case) for case in cases]
    header = json.dumps({name: {"dtype": "F16", "shape": [2**40, 2**40], "data_offsets": [0, 10]}}).encode()
    data += [len(header).to_bytes(8, "little") + header + bytes(10), (2**63).to_bytes(8, "little"), b"", bytes(100)]
    data += [pickle.dumps({"weights": [1, 2]}), b"\x80\x04" + bytes(50)]
    for harmful in data:
        rehashed(model, model__safetensors=harmful)
        with pytest.raises(ModelError) as error:
            read_model(model)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2}, {"format": None}, {"model": None}, {"model": []}, {"model": {}}, {"model": {"width": -1}},
        {"model": {"cell": "gru", "layers": 10**9, "width": 8, "tied": True, "vocabulary": 270}},
        {"model": {"cell": "gru", "layers": "1", "width": 8, "tied": True, "vocabulary": 270}},
        {"model": {"cell": "gru", "layers": 1, "width": 8.5, "tied": True, "vocabulary": 270}},
        {"model": {"cell": "../x", "layers": 1, "width": 8, "tied": True, "vocabulary": 270}},
        {"model": {"cell": ["gru"], "layers": 1, "width": 8, "tied": True, "vocabulary": 270}},
        {"model": {"cell": "gru", "layers": 1, "width": 8, "tied": True, "vocabulary": 5}},
        *({"model": {"cell": "gru", "layers": 1, "width": 8, "tied": True, "vocabulary": 270, name: value}}
          for name, value in (("layers", 1.0), ("layers", True), ("width", 8.0), ("tied", "yes"), ("vocabulary", 270.0),
                              ("summary", 0.0), ("sharpness", "1"), ("cell", None))),
        {"sha256": None}, {"sha256": "x"}, {"sha256": {}},
    ],
)  # fmt: skip
def test_a_config_that_makes_no_sense_is_refused(model, change):
    info = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**info, **change}))
    with pytest.raises(CharRNNError) as error:
        read_model(model)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "null", "[1]", "{", '{"format": 1}', "[" * 100_000, "\x00" * 40, "é"])
def test_a_config_that_is_none_is_refused(model, text):
    (model / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(ModelError):
        read_model(model)


def test_tensors_of_types_that_numpy_has_not_are_refused(model):
    header = json.dumps({"embedding.weight": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}}).encode()
    bf16 = len(header).to_bytes(8, "little") + header + bytes(8)
    rehashed(model, memory__safetensors=bf16.replace(b"embedding.weight", b"tokens"))
    with pytest.raises(ModelError):
        read_model(model).read_memory()
    for harmful in (bf16, b""):
        rehashed(model, model__safetensors=harmful)
        with pytest.raises(ModelError):
            read_model(model)


def test_a_network_that_computes_no_numbers_is_one_line(model, model_files):
    weights = {name: array.astype(np.float32) for name, array in load(model_files["model.safetensors"]).items()}
    rehashed(model, model__safetensors=save({**weights, "head.bias": np.full_like(weights["head.bias"], 3e38)}))
    with pytest.raises(ModelError, match="no network's"):
        read_model(model)
    rehashed(model, model__safetensors=save(weights))
    loaded = charrnn.load(model)
    loaded.engine.head_bias[:] = np.nan
    with pytest.raises(ModelError, match="no numbers"):
        next(loaded.generate("床"))


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(model):
    (model / "config.json").unlink()
    os.mkfifo(model / "config.json")
    assert describe(model) is None
    with pytest.raises(ModelError, match="no regular file"):
        read_info(model)


def test_a_save_that_fails_leaves_the_last_one(model, model_files, monkeypatch):
    before = {f.name: f.read_bytes() for f in model.iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with pytest.raises(ModelError, match="No space left"):
        write_folder(model, {**model_files, "more.json": b"{}"})
    assert {f.name: f.read_bytes() for f in model.iterdir()} == before
    assert [p.name for p in model.parent.iterdir()] == ["small"]


def test_a_link_to_a_folder_elsewhere_stays_one(model, model_files, tmp_path):
    (tmp_path / "other").mkdir()
    target = (model.rename(tmp_path / "other" / "disk")).resolve()
    model.symlink_to(target)
    for width in (8, 16):
        model_files = {**model_files, "more.json": str(width).encode()}
        write_folder(model, model_files)
    assert model.is_symlink()
    assert (target / "more.json").read_bytes() == b"16"
    target.rename(sibling(target, "previous"))  # a save was killed
    assert read_model(model).config.width == 8


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_save_killed_at_any_rename_leaves_a_model(model, model_files, monkeypatch, renames):
    """Killed before the first, between the two, or after both: readers and the next save find a whole folder."""
    done = []

    class Killed(BaseException):
        pass

    def rename(self, target, real=Path.rename):
        if len(done) == renames:
            raise Killed
        done.append(target)
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    try:
        write_folder(model, model_files)
    except Killed:
        assert renames < 2
    monkeypatch.undo()
    assert read_model(find_model(model)).config.width == 8
    write_folder(model, model_files)
    assert read_model(model).config.width == 8
    assert not sibling(model, "previous").exists()
    assert not sibling(model, "new").exists()


def test_a_save_in_the_middle_of_reading_is_no_damage(model, model_files, monkeypatch):
    """Half of the files would be of the old folder: it is read once more. A damage stays one."""
    other = {name: array * 2 for name, array in load(model_files["model.safetensors"]).items()}
    files = {**model_files, "model.safetensors": save(other)}
    info = json.loads(model_files["config.json"])
    info.pop("sha256")
    files["config.json"] = checkpoint.config_bytes(info, {name: files[name] for name in GUARDED})
    real, saves = checkpoint._checked, []

    def checked(file, *given, **named):
        if len(saves) < 3:
            saves.append(file.name)
            write_folder(model, files)
        return real(file, *given, **named)

    monkeypatch.setattr(checkpoint, "_checked", checked)
    stored = read_model(model)
    np.testing.assert_array_equal(stored.weights["head.bias"], other["head.bias"].astype(np.float32))
    assert len(saves) == 3
    (model / "tokenizer.model").write_bytes(b"x")
    with pytest.raises(ModelError, match="damaged"):
        read_model(model)


def test_a_save_between_two_looks_hides_no_model(model, monkeypatch):
    """Its folder was renamed before the first look, and the new one stood there before the second."""
    real, looks = Path.is_file, []

    def is_file(self):
        looks.append(self)
        return len(looks) > 2 and real(self)

    monkeypatch.setattr(Path, "is_file", is_file)
    assert readable(model) == model


def test_a_folder_is_claimed_by_one_at_a_time(tmp_path, monkeypatch):
    path = tmp_path / "models" / "text"
    with claimed(path):
        with pytest.raises(TrainingError, match="another training"), claimed(path):
            pass
        with claimed(tmp_path / "models" / "other"):
            pass
    assert list(tmp_path.iterdir()) == []
    sibling(path, "lock").parent.mkdir()
    sibling(path, "lock").write_text("")  # of a process that was killed
    with claimed(path):
        pass
    assert list(path.parent.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="nothing can be saved"), claimed(tmp_path / "file" / "text"):
        pass


def test_who_comes_while_another_lets_go_claims_it_anew(tmp_path, monkeypatch):
    """The file it has opened is taken away before it is locked: that lock would hold nobody off."""
    path, real, opened = tmp_path / "text", Path.open, []

    def taken_away(self, *given):
        file = real(self, *given)
        opened.append(file)
        if len(opened) == 1:
            self.unlink()
        return file

    monkeypatch.setattr(Path, "open", taken_away)
    with claimed(path), pytest.raises(TrainingError), claimed(path):
        pass
    assert len(opened) == 3


def test_names_that_are_taken_are_passed_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("text", ".text-2.previous"):
        (tmp_path / "models" / name).mkdir(parents=True)
    found = new_model_paths(("text.txt",))
    assert [next(found).name for _ in range(2)] == ["text-3", "text-4"]


def test_what_is_resumed_is_of_the_same_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("novel-notes", "novel-2", "novels"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "training_state.json").touch()
    assert newest_unfinished(("novel.txt",)) == Path("models/novel-2")
    assert newest_unfinished(("novel-notes.txt",)) == Path("models/novel-notes")
    assert newest_unfinished(("poems.txt",)) is None
    assert newest_unfinished(()) is not None


def test_the_largest_memory_can_be_read():
    assert checkpoint.LARGEST_MEMORY >= finishing.MOST_REMEMBERED * (4 + 4) + checkpoint.SLACK


@pytest.mark.parametrize("stored_positions", [True, False])
def test_a_memory_comes_back_and_may_be_taken_out(model, model_files, monkeypatch, stored_positions):
    parts = load(model_files["memory.safetensors"])
    if not stored_positions:
        written = memory_bytes(read_model(model).read_memory())
        assert "positions" not in load(written)
        monkeypatch.setattr(checkpoint, "SORTED_WHEN_READ", 299)
        assert "positions" in load(memory_bytes(read_model(model).read_memory()))
        rehashed(model, memory__safetensors=written)
    stored = read_model(model)
    found = stored.read_memory()
    np.testing.assert_array_equal(found.ngrams.tokens, parts["tokens"])
    np.testing.assert_array_equal(found.ngrams.positions, parts["positions"])
    np.testing.assert_array_equal(found.gate.w_2, parts["w_2"])
    (model / "memory.safetensors").unlink()
    assert not stored.has_memory
    assert charrnn.load(model, memory=True).memory is None


@pytest.mark.parametrize(
    "changed",
    [
        {"tokens": np.full(300, 60_000, np.uint16)},
        {"tokens": np.zeros(299, np.uint16)},
        {"tokens": np.zeros(300, np.int64)},
        {"tokens": np.zeros(0, np.uint16), "positions": np.zeros(0, np.uint32)},
        {"positions": np.full(300, 300, np.uint32)},
        {"positions": np.zeros((300, 1), np.uint32)},
        {"positions": np.zeros(300, np.int32)},
        {"w_1": np.full((FEATURES, 3), np.nan, np.float32)},
        {"w_1": np.zeros((FEATURES, 4), np.float32)},
        {"w_2": np.zeros((3, EXPERTS), np.float16)},
        {"b_1": np.zeros((), np.float32)},
    ],
)
def test_a_harmful_memory_is_refused_even_with_fitting_hashes(model, changed):
    rehashed(model, memory__safetensors=memory(read_model(model).config.vocabulary, **changed))
    with pytest.raises(ModelError, match="memory"):
        read_model(model).read_memory()


def test_a_model_that_a_killed_save_had_set_aside_is_listed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(pretrained(), sibling(tmp_path / "models" / "m", "previous"))
    (tmp_path / "models" / ".other").mkdir()
    (entry,) = (entry for entry in find_models() if not entry.ships)
    assert entry.path == Path("models", "m")
    assert entry.size == describe(pretrained()).size
