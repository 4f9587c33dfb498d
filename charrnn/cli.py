"""The command line: words to a command, and whatever goes wrong to one line and an exit code.

0 done, 1 failed, 2 a wrong call, 130 interrupted. What the commands do is in `commands`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cyclopts import App, CycloptsError
from cyclopts.config import Toml

from charrnn import __version__, commands
from charrnn.commands import FAILED, OK
from charrnn.console import hide_dash
from charrnn.errors import CharRNNError, UsageError

WRONG_CALL, INTERRUPTED = 2, 130

app = App(
    name="charrnn",
    version=__version__,
    help="A Chinese text-generating chatbot in the terminal, on a recurrent network that you can train yourself.",
    help_epilogue="Add --debug to any command to see where an error comes from.",
)
for command in (commands.chat, commands.generate, commands.ask, commands.info, commands.corpus, commands.bench):
    app.command(command)
app.command(commands.evaluate, name="eval")
app.command(commands.train)


def main(arguments: Sequence[str] | None = None) -> int:
    """The program: its exit code, and one line on standard error for whatever went wrong."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [hide_dash(word) for word in words if word != "--debug"]
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal of another encoding shows ? and goes on
    try:
        app.config = _config_file(words)
        code = app(words, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return code if isinstance(code, int) else OK
    except (UsageError, CycloptsError) as error:
        return _fail(error, WRONG_CALL, debug)
    except CharRNNError as error:
        return _fail(error, FAILED, debug)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has left; nothing more to say
        return OK
    except MemoryError as error:
        return _fail(
            CharRNNError("not enough memory: try a smaller --width, --batch or --window"), FAILED, debug, error
        )
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(CharRNNError(f"{where}{error.strerror or error}"), FAILED, debug, error)


def _config_file(words: list[str]) -> tuple[Toml, ...]:
    """The TOML file that `train --config FILE` names, for the parser to take defaults from."""
    for i, word in enumerate(words[:-1]):
        if word == "--config":
            path = Path(words[i + 1])
            if not path.is_file():
                raise UsageError(f"--config {path}: there is no such file")
            return (Toml(path, must_exist=True, use_commands_as_keys=False, allow_unknown=False),)
    return ()


def _fail(error: Exception, code: int, debug: bool, cause: BaseException | None = None) -> int:
    if debug:
        import traceback

        traceback.print_exception(cause or error)
    line = " ".join(str(error).split())
    print(f"charrnn: {line}", file=sys.stderr)
    return code
