"""Work on a long text beside the thread that reads it: threads encode it, and a process learns its vocabulary."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from charrnn.errors import CorpusError
from charrnn.spool import Stretch
from charrnn.tokenizer import Ids, Tokenizer

TOGETHER = 1 << 16  # characters that a thread takes at a time, about
AHEAD = 3  # times as many portions as threads are on their way
MOST_THREADS = 16  # more would wait for the interpreter, which a tenth of the work needs

T = TypeVar("T")
SPAWNING = multiprocessing.get_context("spawn")  # a fork of a process that runs threads may hang


def encoded(stretches: Iterable[Stretch], tokenizer: Tokenizer, threads: int = 0) -> Iterator[tuple[Stretch, Ids]]:
    """Each stretch with the ids of its text, in order, by as many threads as there are cores: SentencePiece leaves the
    interpreter to others while it works."""
    threads = threads or min(_cores(), MOST_THREADS)
    sent: deque[tuple[list[Stretch], Future[list[Ids]]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for some in _portions(stretches):
            sent.append((some, pool.submit(lambda some: [tokenizer.encode_array(x.text) for x in some], some)))
            if len(sent) > AHEAD * threads:
                yield from _next(sent)
        while sent:
            yield from _next(sent)


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _portions(stretches: Iterable[Stretch]) -> Iterator[list[Stretch]]:
    """Several stretches at a time, so that little ones do not cost a hand-over each."""
    some: list[Stretch] = []
    characters = 0
    for stretch in stretches:
        some.append(stretch)
        characters += len(stretch.text)
        if characters >= TOGETHER:
            yield some
            some, characters = [], 0
    if some:
        yield some


def _next(sent: deque[tuple[list[Stretch], Future[list[Ids]]]]) -> Iterator[tuple[Stretch, Ids]]:
    some, future = sent.popleft()
    yield from zip(some, future.result(), strict=True)


def apart(work: Callable[..., T], *given: Any) -> T:
    """What a function of a module returns or raises, from a process of its own, which Ctrl+C ends at once and which
    gives its memory back. CorpusError where it is lost."""
    here, there = SPAWNING.Pipe(duplex=False)
    process = SPAWNING.Process(target=_work, args=(there, work, given), daemon=True)
    process.start()
    there.close()
    try:
        result, error = here.recv()
    except EOFError:
        raise CorpusError(
            "a process that worked on the text was killed, perhaps for want of memory; try again"
        ) from None
    finally:
        process.kill()
        process.join()
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]


def _work(there: Connection, work: Callable[..., Any], given: tuple[Any, ...]) -> None:
    """In the process: Ctrl+C is its parent's to answer, and with its parent it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    with contextlib.suppress(BrokenPipeError):
        try:
            there.send((work(*given), None))
        except Exception as error:
            there.send((None, error))


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
