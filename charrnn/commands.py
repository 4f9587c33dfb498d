"""What each command does: its options, a call, a print. Heavy modules are imported inside the commands.

Figures go to standard output, talk to standard error.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from charrnn.chat import DRAFTS, LONGEST_ANSWER
from charrnn.config import SamplingConfig, TrainingConfig, WebConfig
from charrnn.console import counting, named_sources, print_json, read_prompt, restore_dash, write_text
from charrnn.errors import FAILED, OK, UsageError
from charrnn.options import MEMORY, Flat, Json, MemoryToo, ModelName
from charrnn.plain import one_line, plain


def chat(
    *,
    model: ModelName = None,
    memory: MemoryToo = MEMORY,
    web: Annotated[bool, Parameter(negative="", help="In browsers, on this machine unless --host says more.")] = False,
    served: Annotated[WebConfig | None, Flat] = None,
) -> int:
    """Open the terminal app and talk to a model; with --web in a browser.

    Examples: charrnn chat -m models/mine; charrnn chat --web --port 8080
    """
    from charrnn.chat_command import open_chat, open_web

    if web:
        return open_web(served, model, memory=memory)
    if served is not None:
        raise UsageError("--host, --port, --token, --visitors and --idle go with --web")
    return open_chat(model, memory=memory)


def generate(
    prompt: str = "",
    /,
    *,
    model: ModelName = None,
    memory: MemoryToo = MEMORY,
    length: int = 300,
    stop: str = "",
    as_json: Json = False,
    sampling: Annotated[SamplingConfig, Flat] = SamplingConfig(),  # noqa: B008
) -> int:
    """Continue a prompt; characters are written as they are chosen.

    Example: charrnn generate 循环神经网络 --length 200 --temperature 0.7 --seed 1

    Parameters
    ----------
    prompt
        The text to continue, of any characters, also none; - takes it from standard input.
    length
        How many characters to write; 0 goes on until Ctrl+C.
    stop
        End before this text.
    as_json
        One object with the text and its seed, for programs.
    """
    from charrnn.generation import text_until, with_seed
    from charrnn.model import load

    if length < 0:
        raise UsageError(f"length must be 0 (without end) or more, not {length}")
    if as_json and not length:
        raise UsageError("--json needs an end: give a --length above 0")
    prompt = read_prompt(prompt)
    language_model = load(model, memory=memory)
    sampling, seed = with_seed(sampling)
    texts = text_until(language_model.generate(prompt, length=length or None, sampling=sampling), stop)
    if as_json:
        print_json({"prompt": prompt, "text": "".join(texts), "seed": seed, "model": language_model.name})
    else:
        write_text(texts)
    return OK


def ask(
    question: str,
    /,
    *,
    model: ModelName = None,
    memory: MemoryToo = MEMORY,
    length: int = LONGEST_ANSWER,
    drafts: int = DRAFTS,
    as_json: Json = False,
    sampling: Annotated[SamplingConfig, Flat] = SamplingConfig(),  # noqa: B008
) -> int:
    """Ask one question; the answer ends by itself.

    Example: charrnn ask 什么是隐藏状态？ --temperature 0.5

    Parameters
    ----------
    question
        The question; - takes it from standard input.
    length
        The most characters to write.
    drafts
        Beginnings drawn side by side, of which the one that tells most of its question is kept; 1 draws just one.
    as_json
        One object with the answer and its seed, for programs.
    """
    from charrnn.model import load
    from charrnn.tokenizer import first_characters

    if length < 1:
        raise UsageError(f"length must be 1 or more, not {length}")
    question = read_prompt(question)
    session = load(model, memory=memory).chat(sampling, drafts)
    session.mode = "chat"
    texts = first_characters((piece.text for piece in session.say(question)), length)
    if as_json:
        answer = "".join(texts)
        print_json({"question": question, "answer": answer, "seed": session.turns[-1].seed, "model": session.title})
    else:
        write_text(texts)
    return OK


def evaluate(
    *files: str,
    model: ModelName = None,
    memory: MemoryToo = True,
    errors: Literal["strict", "replace"] = "strict",
    as_json: Json = False,
) -> int:
    """Say what texts cost under a model: bits per character, bits per byte, perplexity.

    Example: charrnn eval novel.txt -m models/mine

    Parameters
    ----------
    files
        Files, folders, bundled corpora, or - for standard input.
    errors
        What to do with bytes that are no text: strict or replace.
    as_json
        One object, for programs.
    """
    from charrnn.corpus import read_corpus
    from charrnn.evaluation import score_documents
    from charrnn.model import load

    sources = named_sources(files)
    language_model = load(model, memory=memory)
    engine, tokenizer = language_model.engine, language_model.tokenizer
    documents = read_corpus(sources, errors=errors)
    with counting("scored {:,} tokens") as scored:
        scores = score_documents(engine, tokenizer, documents, language_model.remembered, scored)
    score = scores.whole
    figures = {
        "bits_per_character": score.bits_per_character,
        **({"without_memory": scores.alone.bits_per_character} if scores.with_memory else {}),
        **({"with_cache": scores.with_cache.bits_per_character} if scores.with_cache else {}),
        "bits_per_byte": score.bits_per_byte,
        "perplexity_per_token": score.perplexity,
        "characters": score.characters,
        "tokens": score.tokens,
    }
    if as_json:
        print_json({**{n: v if math.isfinite(v) else None for n, v in figures.items()}, "model": language_model.name})
    else:
        for name, value in figures.items():
            print(f"{name.replace('_', ' '):<22}{value:,.4f}" if isinstance(value, float) else f"{name:<22}{value:,}")
    return OK


def info(*, model: ModelName = None, as_json: Json = False) -> int:
    """Say what a model is, what it was trained on, how well it does, and its files' hashes.

    Example: charrnn info -m models/mine --json

    Parameters
    ----------
    as_json
        The model's config as it is stored, with the hashes.
    """
    from charrnn.card import card_rows
    from charrnn.checkpoint import file_hashes, read_model
    from charrnn.errors import CharRNNError, ModelError
    from charrnn.paths import CONFIG, find_model

    stored = read_model(find_model(model))
    hashes = file_hashes(stored.path)
    if as_json:
        print_json({**stored.info, "path": str(stored.path), "files": hashes})
        return OK
    parameters = sum(w.size for w in stored.weights.values())
    try:
        known = card_rows(stored.info)
    except (KeyError, TypeError, ValueError, AttributeError, CharRNNError) as error:
        raise ModelError(f"{stored.path}: {CONFIG} does not say what it should of the model ({error!r})") from None
    rows = [("model", str(stored.path)), ("parameters", f"{parameters:,}"), *known]
    for name, value in [*rows, *(("sha256 " + name, digest) for name, digest in hashes.items())]:
        print(f"{one_line(name):<28}{one_line(value)}")
    return OK


def corpus(*, as_json: Json = False) -> int:
    """Say what the bundled corpora hold, and whether they keep their rules; 1 where they do not.

    Example: charrnn corpus --json

    Parameters
    ----------
    as_json
        One object, for programs.
    """
    from charrnn.corpus import bundled_root
    from charrnn.corpus_report import examine

    report = examine(bundled_root())
    if as_json:
        print_json(asdict(report))
    else:
        for name, value in report.rows():
            print(f"{name:<46}{value}")
        for text, one, other in report.longest_repeats[:3]:
            print(f"in {one} and in {other}: {text}")
    for line in report.broken:
        print(line, file=sys.stderr)
    return FAILED if report.broken else OK


def bench(*sources: str, minutes: float = 1.0, cells: str = "mingru,gru,lstm,rnn") -> int:
    """Train every cell on this machine for as many minutes, one after another, and print a table.

    Example: charrnn bench novel.txt --minutes 5

    Parameters
    ----------
    sources
        Files, folders or bundled corpora; none: the bundled articles.
    minutes
        For each of them, all told.
    cells
        Which, separated by commas.
    """
    from charrnn.bench import HEAD, train_run

    texts = named_sources(sources or ("articles",))
    if "-" in texts:
        raise UsageError("standard input can be read only once; save it as a file, which every cell can read")
    print(" | ".join(HEAD))
    for cell in cells.split(","):
        run = train_run([*texts, "--cell", cell, "--minutes", str(minutes)])
        print(" | ".join(run.row(cell)), flush=True)
    return OK


def train(
    *sources: str,
    out: Path | None = None,
    valid: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    resume: Annotated[bool, Parameter(negative="")] = False,
    init_from: str | None = None,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    as_json: Json = False,
    config_file: Annotated[Path | None, Parameter(name="--config")] = None,
    config: Annotated[TrainingConfig, Flat] = TrainingConfig(),  # noqa: B008
) -> int:
    """Train a model on text: files, folders, or one of the bundled corpora (corpus, articles, dialogues, binary).

    Examples: charrnn train corpus; charrnn train novel.txt notes/ --minutes 10 --cell gru --out models/mine

    Parameters
    ----------
    sources
        .txt, .md, .jsonl, .json, also .gz and .zst, folders of them, bundled names, or - for standard input.
    out
        The model folder; models/NAME after the first source if not given.
    valid
        Held-out text of your own, instead of a tenth of the sources.
    resume
        Go on with a run that was interrupted, exactly where it was saved; its settings are the saved ones.
    init_from
        Begin with the weights, the shape and the tokenizer of this model.
    overwrite
        Replace the model that stands at --out.
    dry_run
        Read, measure, say what would be done, and stop.
    as_json
        Reports for programs: one object a line on standard output.
    config_file
        A TOML file that sets options by the same names; the command line goes before it.
    """
    from charrnn.train_command import TrainingCall, run_training

    call = TrainingCall(
        sources=tuple(restore_dash(s) for s in sources),
        config=config,
        out=out,
        valid=tuple(restore_dash(v) for v in valid),
        resume=resume,
        init_from=init_from,
        overwrite=overwrite,
        dry_run=dry_run,
        as_json=as_json,
    )
    return run_training(call)


def cache(*, clear: bool = False, as_json: Json = False) -> int:
    """Say what prepared text is kept, so that training on it again begins at once, and where.

    The longest unused goes where there is more than CHARRNN_CACHE_GIB, an environment variable, allows (10).

    Example: charrnn cache --clear

    Parameters
    ----------
    clear
        Remove all that no training is using.
    as_json
        One object, for programs.
    """
    from charrnn import cache as kept

    if clear:
        removed, left = kept.clear()
        if as_json:
            print_json({"folder": str(kept.folder()), "removed": removed, "left": left})
            return OK
        in_use = f"; {left / 2**20:,.1f} MiB are in use" if left else ""
        print(f"removed {removed / 2**20:,.1f} MiB from {kept.folder()}{in_use}")
        return OK
    found = sorted(kept.entries(), key=lambda entry: -entry.used)
    if as_json:
        print_json({"folder": str(kept.folder()), "limit": kept.limit(), "texts": [asdict(entry) for entry in found]})
        return OK
    total = sum(entry.size for entry in found)
    print(f"{kept.folder()}: {len(found)} texts, {total / 2**20:,.1f} MiB of {kept.limit() / 2**30:g} GiB at most")
    for entry in found:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
        sources = plain(" ".join(entry.sources))
        print(f"  {entry.size / 2**20:9,.1f} MiB  {entry.characters:14,} characters  {used}  {sources}")
    return OK
