"""Where models are: by path, by name, and the one that ships. Imports nothing heavy."""

from __future__ import annotations

import os
from pathlib import Path

from charrnn.errors import ModelError

MODELS = Path("models")
"""Where `charrnn train` writes, under the folder that it is started in."""
CONFIG = "config.json"
METRICS = "metrics.jsonl"
STATE = "training_state.json"


def pretrained() -> Path:
    """The model that ships."""
    return Path(__file__).parent / "pretrained"


def sibling(path: Path, ending: str) -> Path:
    """The hidden folder beside a model folder that a save goes through."""
    path = path.absolute()
    return path.with_name(f".{path.name}.{ending}")


def readable(path: Path) -> Path | None:
    """The model folder, or what a save killed between its two renames left of it."""
    for place in (path, sibling(path, "previous")):
        if (place / CONFIG).is_file():
            return place
    return None


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
        return [Path(text).expanduser()]
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


def new_model_path(sources: tuple[str, ...]) -> Path:
    """models/NAME after the first source, with the next free number if it is taken."""
    base = _base_name(sources)
    path, number = MODELS / base, 2
    while path.exists() or sibling(path, "previous").exists():
        path, number = MODELS / f"{base}-{number}", number + 1
    return path


def newest_unfinished(sources: tuple[str, ...]) -> Path | None:
    """The model folder in training, of these sources or (with none) of any, that was saved last."""
    base = _base_name(sources) if sources else ""
    if not MODELS.is_dir():
        return None
    found = {}
    for folder in MODELS.iterdir():
        name = folder.name
        if name.endswith(".previous"):
            name = name.removeprefix(".").removesuffix(".previous")
        numbered = name == base or name.startswith(f"{base}-")
        if (not base or numbered) and not name.startswith(".") and (folder / STATE).is_file():
            found[MODELS / name] = (folder / STATE).stat().st_mtime
    return max(found, key=lambda path: found[path]) if found else None


def _base_name(sources: tuple[str, ...]) -> str:
    first = sources[0] if sources else "-"
    if first == "-":
        return "stdin"
    return Path(first).absolute().name.lstrip(".").split(".")[0] or "model"
