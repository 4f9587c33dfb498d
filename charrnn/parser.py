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
        code = app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except UnusedCliTokensError as error:
        command, extra = words[0], " ".join(map(restore_dash, error.unused_tokens or []))
        raise UsageError(f"{command} takes no {extra!r} here; charrnn {command} --help tells what it takes") from error
    except CycloptsError as error:
        raise UsageError(str(error)) from error
    return code if isinstance(code, int) else OK


def _config_file(words: Sequence[str]) -> tuple[Toml, ...]:
    """The TOML file that `train --config FILE` names, for the parser to take defaults from."""
    for i, word in enumerate(words[:-1]):
        if word == "--config":
            path = Path(words[i + 1])
            if not path.is_file():
                raise UsageError(f"--config {path}: there is no such file")
            return (Toml(path, must_exist=True, use_commands_as_keys=False, allow_unknown=False),)
    return ()
