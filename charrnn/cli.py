"""The command line: words to a command, and whatever goes wrong to one line and an exit code.

0 done, 1 failed, 2 a wrong call, 130 interrupted. `parser` reads the words, and what commands do is in `commands`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from charrnn.errors import FAILED, INTERRUPTED, OK, WRONG_CALL, CharRNNError, UsageError, is_out_of_memory
from charrnn.plain import one_line

LONGEST = 1000  # characters of a line


def main(arguments: Sequence[str] | None = None) -> int:
    """The program: its exit code, and one line on standard error for whatever went wrong."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal of another encoding shows ? and goes on
    try:
        code = _run(words)
        sys.stdout.flush()
        return code
    except UsageError as error:
        return _fail(error, WRONG_CALL, debug)
    except CharRNNError as error:
        return _fail(error, FAILED, debug)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has left; nothing more to say
        return OK
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return _fail(
            CharRNNError("not enough memory: try a smaller --width, --batch or --window"), FAILED, debug, error
        )
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(CharRNNError(f"{where}{error.strerror or error}"), FAILED, debug, error)


def _run(words: Sequence[str]) -> int:
    if words == ["chat"]:  # on screen before the parser would be imported
        from charrnn.chat_command import open_chat

        return open_chat()
    from charrnn.parser import run

    return run(words)


def _fail(error: Exception, code: int, debug: bool, cause: BaseException | None = None) -> int:
    if debug:
        import traceback

        traceback.print_exception(cause or error)
    line = one_line(str(error))
    if len(line) > LONGEST:  # what was typed, or a name, may be of any length
        line = f"{line[: LONGEST // 2]} … {line[-LONGEST // 2 :]}"
    print(f"charrnn: {line}", file=sys.stderr)
    return code
