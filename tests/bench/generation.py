"""What a character costs, beside other ways to have it; one run, medians of rounds that alternate.

usage: python tests/bench/generation.py [--rounds 5] [--characters 1000000] [--parts rates,starts,long]

Rates: networks of 1, 3, 10 and 30 million random weights over 2,700 characters (two blocks of the default cell), each
character drawn at temperature 0.8, one stream and eight. The last columns say how many times as long it takes
otherwise: the same weights in the torch module, one position at a time; nanoGPT's way, a context of 256 read again for
every character, at about as many parameters; each matrix times a vector once, by numpy or torch, whichever is faster;
and to copy the weights once. Then the model that ships, without and with its memory, and what it takes to keep a place
in a text and to come back to it.

Starts: the app's first paint beside that of a Textual app that is empty; the first character of `charrnn generate`
beside `import torch`. Long: the rate of reading a prompt, and rate and memory along a long text.
"""

from __future__ import annotations

import argparse
import os
import pickle
import pty
import re
import resource
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from peers import Transformer
from table import show

import charrnn
from charrnn.config import ModelConfig, SamplingConfig
from charrnn.engine import Engine
from charrnn.network import Network
from charrnn.sampling import sample
from charrnn.training_state import weights_of

Work = Callable[[], object]
V, CONTEXT, STREAMS = 2700, 256, 8
# Width and gated layer of ours; width and layers of a GPT of about as many parameters.
SIZES = {
    "1M": ((160, 320), (128, 4)),
    "3M": ((320, 512), (192, 6)),
    "10M": ((608, 1216), (352, 6)),
    "30M": ((1088, 2176), (544, 8)),
}
SAMPLING = SamplingConfig(temperature=0.8)
PAINTS = {
    "charrnn chat": [sys.executable, "-m", "charrnn", "chat"],
    "an empty Textual app": [sys.executable, "-c", "from textual.app import App; App().run()"],
}
FIRST = {
    "charrnn generate, first character": [sys.executable, "-m", "charrnn", "generate", "循环", "--length", "1"],
    "import torch": [sys.executable, "-c", "import torch; print(1, flush=True)"],
}
PAINTED = re.compile(rb"\x1b\[\d+;1H\x1b\[[\d;]+m")  # from the beginning of a line on, in colour


def seconds_of(work: Work, least: float = 0.3) -> float:
    """Of one call, over as many as take so long."""
    work()
    calls, start = 0, time.perf_counter()
    while time.perf_counter() - start < least:
        work()
        calls += 1
    return (time.perf_counter() - start) / calls


def numpy_streams(engine: Engine, streams: int) -> Work:
    """A character of each stream."""
    stepper, rng = engine.stepper(streams), np.random.default_rng(0)
    ids = np.zeros(streams, np.int64)

    def step() -> None:
        logits = stepper.logits(stepper.step(ids))
        for b in range(streams):
            ids[b], _ = sample(logits[b], [], SAMPLING, rng.random())

    return step


def torch_eager(network: Network) -> Work:
    """A character by the module itself."""
    state, ids = network.initial_state(1), torch.zeros(1, 1, dtype=torch.long)

    @torch.inference_mode()
    def step() -> None:
        nonlocal state, ids
        logits, state = network(ids, state)
        ids = torch.multinomial(torch.softmax(logits[0] / SAMPLING.temperature, -1), 1)

    return step


def whole_context(model: Transformer) -> Work:
    """A character as nanoGPT's `generate` draws it: all of the context for each."""
    ids = torch.zeros(1, CONTEXT, dtype=torch.long)

    @torch.inference_mode()
    def step() -> None:
        nonlocal ids
        logits = model(ids, last=True)[:, 0]
        drawn = torch.multinomial(torch.softmax(logits / SAMPLING.temperature, -1), 1)
        ids = torch.cat([ids[:, 1:], drawn], dim=1)

    return step


def products(network: Network) -> list[Work]:
    """Every matrix times a vector: by numpy, rows or columns one after the other in memory, and by torch."""
    matrices = [w for w in weights_of(network).values() if w.ndim == 2 and min(w.shape) > 8]
    by_rows = [(w, np.ones(w.shape[1], np.float32), np.empty(w.shape[0], np.float32)) for w in matrices]
    by_columns = [(np.asfortranarray(w), x, y) for w, x, y in by_rows]
    tensors = [tuple(map(torch.from_numpy, row)) for row in by_rows]

    def every(rows: list[tuple], product: Callable) -> Work:
        return lambda: [product(w, x, out=y) for w, x, y in rows]

    return [every(by_rows, np.dot), every(by_columns, np.dot), every(tensors, torch.mv)]


def rates(rounds: int) -> None:
    """The table of rates."""
    names = ["torch eager", "nanoGPT's way", "bare products", "a copy"]
    rows = [["network", "GPT", "characters/s", f"{STREAMS} streams", *names]]
    for (width, feedforward), (gpt_width, layers) in SIZES.values():
        torch.manual_seed(0)
        # Distributions of some five bits, as those of a trained network.
        config = ModelConfig(layers=2, width=width, feedforward=feedforward, vocabulary=V, sharpness=3.0)
        network = Network(config).eval()
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.ndim == 2 and not parameter.any():  # what adds nothing to a network that begins
                    parameter.normal_(std=0.02)
        engine = Engine(network.config, weights_of(network))
        gpt = Transformer(V, gpt_width, layers, 4, CONTEXT).eval()
        sizes = [sum(p.numel() for p in module.parameters()) for module in (network, gpt)]
        source = np.ones(sizes[0], np.float32)
        target = np.empty_like(source)
        works = [numpy_streams(engine, 1), numpy_streams(engine, STREAMS), torch_eager(network), whole_context(gpt)]
        works += [lambda source=source, target=target: np.copyto(target, source), *products(network)]
        times = np.array([[seconds_of(work) for work in works] for _ in range(rounds)])
        one, eight, eager, whole, copied, *multiplied = np.median(times, axis=0)
        ratios = [f"{seconds / one:.2f}" for seconds in (eager, whole, min(multiplied), copied)]
        rows.append([*(f"{n / 1e6:.2f}M" for n in sizes), f"{1 / one:,.0f}", f"{STREAMS / eight:,.0f}", *ratios])
    show(rows)


def shipped(rounds: int) -> None:
    """The table of the model that ships."""
    model = charrnn.load(memory=True)
    streams = {"without memory": model.stream(), "with memory": model.stream()}
    streams["without memory"].memory = None
    barred = {model.tokenizer.unknown}
    pieces = {
        name: stream.generate(lambda: SAMPLING, np.random.default_rng(1), barred=barred)
        for name, stream in streams.items()
    }
    taken: dict[str, list[float]] = {name: [] for name in pieces}
    for _ in range(rounds):
        for name, some in pieces.items():
            start, characters = time.perf_counter(), 0
            while time.perf_counter() - start < 1:
                characters += len(next(some).text)
            taken[name].append(characters / (time.perf_counter() - start))
    rows = [["the model that ships", "characters/s"]]
    show([*rows, *([name, f"{statistics.median(found):,.0f}"] for name, found in taken.items())])


def places() -> None:
    """The table of what a place in a text costs, after 2,000 tokens."""
    model = charrnn.load()
    stream, other = model.stream(), model.stream()
    stream.read(np.random.default_rng(0).integers(300, model.tokenizer.size, 2000).tolist())
    place = stream.mark()
    saved = pickle.dumps(place)
    works: dict[str, Work] = {
        "mark": stream.mark,
        "go back": lambda: stream.go_to(place),
        "branch": lambda: other.go_to(place),
        "save": lambda: pickle.dumps(place),
        "load": lambda: pickle.loads(saved),
    }
    rows = [
        ["a place in a text", "microseconds"],
        *([name, f"{seconds_of(work) * 1e6:.1f}"] for name, work in works.items()),
    ]
    show([*rows, ["kilobytes, saved", f"{len(saved) / 1e3:.1f}"]])


def first_paint(command: list[str]) -> float:
    """Seconds until a program on a terminal of its own has painted a screen."""
    start = time.monotonic()
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execvp(command[0], command)
    written = b""
    while not PAINTED.search(written) and time.monotonic() - start < 30:
        if select.select([terminal], [], [], 1)[0]:
            written += os.read(terminal, 65536)
    taken = time.monotonic() - start
    os.kill(child, 9)
    os.waitpid(child, 0)
    os.close(terminal)
    return taken


def first_byte(command: list[str]) -> float:
    """Seconds until a program has written something."""
    start = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        return time.monotonic() - start


def starts(rounds: int) -> None:
    """The table of starts: each pair alternates, and its second is the measure."""
    rows = [["start", "seconds", "ratio"]]
    for commands, measure in ((PAINTS, first_paint), (FIRST, first_byte)):
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(2 * rounds + 1):
            for name, command in commands.items():
                taken[name].append(measure(command))
        medians = [statistics.median(found[1:]) for found in taken.values()]  # the first round warms the disk's cache
        rows += [
            [name, f"{found:.3f}", f"{found / medians[1]:.2f}"] for name, found in zip(taken, medians, strict=True)
        ]
    show(rows)


def resident() -> float:
    """Resident memory in MB: the present one where the system says it, else the highest so far."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def long_text(characters: int, each: int = 10_000) -> None:
    """The rate of reading a prompt, and the shipped model's rate and memory along a long text."""
    model = charrnn.load()
    text = "".join(model.generate("", length=each, seed=1))
    stream = model.stream()
    read = seconds_of(lambda: stream.read_text(text), 2.0)
    print(f"\na prompt is read at {each / read:,.0f} characters/s ({each:,} in {read:.2f} s)\n")
    rows = [["characters", "characters/s", "tokens/s", "resident MB"]]
    rates: list[float] = []  # of tokens, and at a temperature too high for loops, whose draws cost less
    written, tokens, since = 0, 0, time.monotonic()
    for piece in model.pieces("", SamplingConfig(temperature=1.5, seed=1)):
        written, tokens = written + len(piece.text), tokens + 1
        if written >= each * (len(rates) + 1):
            seconds = time.monotonic() - since
            rates.append(tokens / seconds)
            if len(rates) == 1 or len(rates) * each % (characters // 10) == 0:
                rows.append([f"{written:,}", f"{each / seconds:,.0f}", f"{rates[-1]:,.0f}", f"{resident():.1f}"])
            tokens, since = 0, time.monotonic()
        if written >= characters:
            break
    show(rows)
    tenth = max(1, len(rates) // 10)
    first, last = (statistics.median(some) for some in (rates[:tenth], rates[-tenth:]))
    print(f"\ntokens/s in the last tenth / in the first (medians of {each:,} characters): {last / first:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--characters", type=int, default=1_000_000)
    parser.add_argument("--parts", default="rates,starts,long")
    given = parser.parse_args()
    if "rates" in given.parts:
        rates(given.rounds)
        shipped(given.rounds)
        places()
    if "starts" in given.parts:
        starts(given.rounds)
    if "long" in given.parts:
        long_text(given.characters)


if __name__ == "__main__":
    main()
