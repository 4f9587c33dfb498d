"""The words of a call to the command that they name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from cyclopts import App, CycloptsError, UnusedCliTokensError
from cyclopts.config import Toml

from charrnn import __version__, commands
from charrnn.console import hide_dash, restore_dash
from charrnn.errors import OK, UsageError
from charrnn.look_command import look
from charrnn.sweep_command import sweep

app = App(
    name="charrnn",
    version=__version__,
    help="A Chinese text-generating chatbot in the terminal, on a recurrent network that you can train yourself.",
    help_epilogue="Add --debug to any command to see where an error comes from.",
)
for command in (
    commands.chat,
    commands.generate,
    commands.ask,
    look,
    sweep,
    commands.info,
    commands.corpus,
    commands.bench,
    commands.cache,
):
    app.command(command)
app.command(commands.evaluate, name="eval")
app.command(commands.train)


@app.command
def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print what makes a shell complete commands and options.

    Example: eval "$(charrnn completion bash)", in ~/.bashrc
    """
    print(app.generate_completion(shell=shell))
    return OK


def run(words: Sequence[str]) -> int:
    """The command's exit code. UsageError for a wrong call."""
    words = [hide_dash(word) for word in words]
    app.config = _config_file(words)
    try:
        command, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    except UnusedCliTokensError as error:
        name, extra = words[0], " ".join(map(restore_dash, error.unused_tokens or []))
        raise UsageError(f"{name} takes no {extra!r} here; charrnn {name} --help tells what it takes") from error
    except CycloptsError as error:
        raise UsageError(restore_dash(str(error))) from error
    code = command(*bound.args, **{name: _restored(value) for name, value in bound.kwargs.items()})
    return code if isinstance(code, int) else OK


def _restored(value: object) -> object:
    """An option's value as it was typed."""
    if isinstance(value, Path):
        return Path(restore_dash(str(value)))
    return restore_dash(value) if isinstance(value, str) else value


def _config_file(words: Sequence[str]) -> tuple[Toml, ...]:
    """The TOML file that `train --config FILE` names, for the parser to take defaults from."""
    for i, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option == "--config" and (equals or i + 1 < len(words)):
            path = Path(restore_dash(value if equals else words[i + 1]))
            if not path.is_file():
                raise UsageError(f"--config {path}: there is no such file")
            return (Toml(path, must_exist=True, use_commands_as_keys=False, allow_unknown=False),)
    return ()
