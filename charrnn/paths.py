"""Where models are: by path, by name, and the one that ships. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from charrnn.errors import ModelError, TrainingError
from charrnn.locks import lock

MODELS = Path("models")
"""Where `charrnn train` writes, under the folder that it is started in."""
CONFIG = "config.json"
METRICS = "metrics.jsonl"
STATE = "training_state.json"


def pretrained() -> Path:
    """The model that ships."""
    return Path(__file__).parent / "pretrained"


def private(path: Path) -> Path:
    """The file, which only its owner may read from here on; it is made where there is none.

    One that is there is not opened: closing it would take from this process the locks that SQLite has on it.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with contextlib.suppress(OSError):  # of a file system without rights, or of another's file
        path.chmod(0o600)
    return path


def sibling(path: Path, ending: str) -> Path:
    """The hidden folder that a save goes through: beside the model folder, where that is a link beside its target."""
    path = path.resolve() if path.is_symlink() else path.absolute()
    return path.with_name(f".{path.name}.{ending}")


def readable(path: Path) -> Path | None:
    """The model folder, or what a save killed between its two renames left of it."""
    for place in (path, sibling(path, "previous"), path):  # a save may have ended in between
        if (place / CONFIG).is_file():
            return place
    return None


def named(folder: Path) -> Path | None:
    """The path of the model in a folder, also in one that a killed save had set aside; none of other hidden ones."""
    name = folder.name
    if name.endswith(".previous"):
        name = name.removeprefix(".").removesuffix(".previous")
    return None if name.startswith(".") else folder.with_name(name)


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Keep other trainings away from a model folder, by a hidden file beside it; the system unlocks it where a process
    dies. Who only reads need not ask.

    Raises TrainingError where another one has it, and ModelError where nothing can be written.
    """
    place = sibling(path, "lock")
    made = [folder for folder in place.parents if not folder.exists()]
    try:
        file = _locked(place)
    except BlockingIOError:
        raise TrainingError(
            f"{path}: another training saves there just now; wait for its end, or give another --out"
        ) from None
    except OSError as error:
        raise ModelError(
            f"{path}: nothing can be saved there ({error.strerror or error}): "
            "free some room or mend the folder's rights"
        ) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            place.unlink()
        file.close()
        for folder in made:  # of a run that saved nothing
            with contextlib.suppress(OSError):
                folder.rmdir()


def _locked(path: Path) -> TextIO:
    """The file, locked. BlockingIOError where another process has locked it."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
        if not lock(file.fileno()):
            file.close()
            raise BlockingIOError
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()  # of one who has just ended, and took it away


def find_model(name: str | os.PathLike[str] | None) -> Path:
    """A model folder: a path, or a name under ./models or the user's data folder; None is the model that ships.

    Raises ModelError when there is none.
    """
    if name is None:
        return pretrained()
    places = _places(name)
    for place in places:
        if readable(place) is not None:
            return place
    for place in places:
        if place.exists():
            raise ModelError(f"{place}: not a model folder, it has no {CONFIG}; charrnn train makes one")
    raise ModelError(
        f"there is no model {os.fspath(name)!r}; looked at {', '.join(str(p) for p in places)}; charrnn train makes one"
    )


def _places(name: str | os.PathLike[str]) -> list[Path]:
    text = os.fspath(name)
    if not text or "\0" in text:
        raise ModelError(f"{text!r} is no name of a model")
    if Path(text).is_absolute() or text.startswith(("./", "../", "~")):
        try:
            return [Path(text).expanduser()]
        except RuntimeError:
            raise ModelError(f"{text}: there is no such user") from None
    return [Path(text), MODELS / text, user_models() / text]


def user_data() -> Path:
    """The user's data folder: models that are found by name from anywhere, and conversations."""
    import platformdirs

    return platformdirs.user_data_path("charrnn")


def user_config() -> Path:
    """The user's folder for settings."""
    import platformdirs

    return platformdirs.user_config_path("charrnn")


def user_models() -> Path:
    """Where models are looked for, wherever the program is started."""
    return user_data() / "models"


def new_model_paths(sources: tuple[str, ...]) -> Iterator[Path]:
    """models/NAME after the first source, and the same with numbers, as far as they are free."""
    base = _base_name(sources)
    for number in itertools.count(1):
        path = MODELS / (base if number == 1 else f"{base}-{number}")
        if not (path.exists() or sibling(path, "previous").exists()):
            yield path


def newest_unfinished(sources: tuple[str, ...]) -> Path | None:
    """The model folder in training, of these sources or (with none) of any, that was saved last."""
    base = _base_name(sources) if sources else ""
    if not MODELS.is_dir():
        return None
    found = {}
    for folder in MODELS.iterdir():
        path = named(folder)
        ours = path is not None and (not base or re.fullmatch(re.escape(base) + r"(-\d+)?", path.name))
        if path is not None and ours and (folder / STATE).is_file():
            found[path] = (folder / STATE).stat().st_mtime
    return max(found, key=lambda path: found[path]) if found else None


def _base_name(sources: tuple[str, ...]) -> str:
    first = sources[0] if sources else "-"
    if first == "-":
        return "stdin"
    return Path(first).absolute().name.lstrip(".").split(".")[0] or "model"
