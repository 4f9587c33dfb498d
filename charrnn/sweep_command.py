"""What `charrnn sweep` does. Heavy modules are imported inside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from charrnn.config import TEMPERATURES, SamplingConfig, read_temperatures
from charrnn.console import print_json, read_prompt
from charrnn.errors import OK, UsageError
from charrnn.options import Flat, Json, ModelName


def sweep(
    prompt: str = "",
    /,
    *,
    model: ModelName = None,
    temperatures: str = TEMPERATURES,
    ask: bool = False,
    samples: int = 1,
    length: int = 200,
    csv: Path | None = None,
    plot: Path | None = None,
    as_json: Json = False,
    sampling: Annotated[SamplingConfig, Flat] = SamplingConfig(),  # noqa: B008
) -> int:
    """Continue a prompt, or answer it, at several temperatures by the same random numbers, and say what each did.

    Example: charrnn sweep 循环神经网络 --temperatures 0,0.5,1,2 --seed 1 --csv sweep.csv --plot sweep.svg

    Parameters
    ----------
    prompt
        The text to continue; - takes it from standard input.
    temperatures
        Numbers with commas between; --temperature is not looked at.
    ask
        The prompt is a question, to be answered.
    samples
        Texts for each, with this seed and those after it; figures are means over them.
    length
        Characters of each text.
    csv
        Write every text and its figures into this file.
    plot
        Draw the curves into this file, .svg or .png; needs the extra `plot`.
    as_json
        One object with every text and its figures, for programs.
    """
    from charrnn import sweep_report
    from charrnn.generation import with_seed
    from charrnn.model import load
    from charrnn.sweep import sweep as run_sweep
    from charrnn.sweep import training_pairs

    chosen = read_temperatures(temperatures)
    if samples < 1 or length < 1:
        raise UsageError("samples and length must be 1 or more")
    prompt = read_prompt(prompt)
    language_model = load(model)
    sampling, seed = with_seed(sampling)
    seeds = [replace(sampling, seed=seed + n) for n in range(samples)]
    known = training_pairs(language_model)
    found = [run_sweep(language_model, prompt, chosen, each, length, known, ask=ask) for each in seeds]
    records = sweep_report.records(found)
    if csv is not None:
        sweep_report.write_csv(csv, records)
    if plot is not None:
        sweep_report.draw(plot, found)
    if as_json:
        print_json({"prompt": prompt, "model": language_model.name, "texts": records})
    else:
        print("\n".join([*sweep_report.table(found), *sweep_report.texts(found[0])]))
    return OK
