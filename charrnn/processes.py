"""Work on a long text in processes beside this one: several that turn it into tokens, one that learns its vocabulary.

The text is read here; pieces of it go to the others, and their ids come back in order.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from charrnn.errors import CorpusError
from charrnn.spool import Stretch
from charrnn.tokenizer import Ids, Tokenizer

WORTH_A_PROCESS = 4_000_000  # characters: what is encoded while one starts, and as much again
TOGETHER = 1 << 18  # characters that are sent at a time, about
WAITING = 3  # times as many pieces as processes are on their way

T = TypeVar("T")
SPAWNING = multiprocessing.get_context("spawn")  # a fork of a process that runs threads may hang
KILLED = "a process that worked on the text was killed, perhaps for want of memory; try again"

_tokenizer: Tokenizer  # of a process that was started here


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
        raise CorpusError(KILLED) from None
    finally:
        process.kill()
        process.join()
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]


def _work(there: Connection, work: Callable[..., Any], given: tuple[Any, ...]) -> None:
    _begin_work()
    with contextlib.suppress(BrokenPipeError):
        try:
            there.send((work(*given), None))
        except Exception as error:
            there.send((None, error))


def processes_for(characters: int) -> int:
    """How many processes are worth their start."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(available, characters // WORTH_A_PROCESS))


def encoded(stretches: Iterable[Stretch], tokenizer: Tokenizer, processes: int) -> Iterator[tuple[Stretch, Ids]]:
    """Each stretch with the ids of its text. CorpusError where a process is lost."""
    if processes < 2:
        for stretch in stretches:
            yield stretch, tokenizer.encode_array(stretch.text)
        return
    sent: deque[tuple[list[Stretch], Future[list[Ids]]]] = deque()
    try:
        with ProcessPoolExecutor(processes, SPAWNING, _begin_encoding, (tokenizer.model,)) as pool:
            for some in _portions(stretches):
                sent.append((some, pool.submit(_encode, [stretch.text for stretch in some])))
                if len(sent) > WAITING * processes:
                    yield from _next(sent)
            while sent:
                yield from _next(sent)
    except BrokenProcessPool:
        raise CorpusError(KILLED) from None


def _portions(stretches: Iterable[Stretch]) -> Iterator[list[Stretch]]:
    """Several stretches at a time, so that little ones do not cost a message each."""
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


def _begin_encoding(model: bytes) -> None:
    global _tokenizer
    _begin_work()
    _tokenizer = Tokenizer(model)


def _begin_work() -> None:
    """A process begins: Ctrl+C is its parent's to answer, and with its parent it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _encode(texts: list[str]) -> list[Ids]:
    return [_tokenizer.encode_array(text) for text in texts]
