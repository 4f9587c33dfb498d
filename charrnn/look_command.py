"""What `charrnn look` does. Heavy modules are imported inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from charrnn.config import SamplingConfig
from charrnn.console import print_json, read_prompt
from charrnn.errors import OK, UsageError
from charrnn.options import MEMORY, Flat, Json, MemoryToo, ModelName
from charrnn.plain import visible

if TYPE_CHECKING:
    from charrnn.rereading import Crossing, Reason

NAME = 14  # cells


def look(
    prompt: str = "",
    /,
    *,
    ask: bool = False,
    model: ModelName = None,
    memory: MemoryToo = MEMORY,
    length: int = 20,
    drafts: int = 1,
    as_json: Json = False,
    sampling: Annotated[SamplingConfig, Flat] = SamplingConfig(),  # noqa: B008
) -> int:
    """Continue a prompt, or answer it, and say of every token why it came, and when another would have.

    Example: charrnn look 循环神经网络 --temperature 0.8 --seed 1

    Parameters
    ----------
    prompt
        The text to continue; - takes it from standard input.
    ask
        The prompt is a question, to be answered.
    length
        The most tokens to look at.
    drafts
        Beginnings of an answer, of which `ask` keeps the best of eight: at another temperature perhaps another one.
    as_json
        One object with every token, for programs.
    """
    import itertools

    from charrnn.model import load
    from charrnn.rereading import reason

    if length < 1:
        raise UsageError(f"length must be 1 or more, not {length}")
    session = load(model, memory=memory).chat(sampling, drafts)
    session.mode = "chat" if ask else "continue"
    for _ in itertools.islice(session.say(read_prompt(prompt)), length):
        pass
    (turn,) = session.turns
    looks = [session.look_at(turn, n) for n in range(len(turn.tokens))]
    reasons = [reason(seen, uniform) for seen, uniform in zip(looks, turn.uniforms, strict=True) if seen is not None]
    if as_json:
        tokens = [
            {"uniform": uniform, "bits": why.bits, **_record(why)}
            for why, uniform in zip(reasons, turn.uniforms, strict=True)
        ]
        print_json({"prompt": prompt, "text": turn.answer, "seed": turn.seed, "model": session.title, "tokens": tokens})
    else:
        print("\n".join(_table(reasons, list(turn.uniforms))))
    return OK


def _record(why: Reason) -> dict[str, object]:
    ways = (("below", why.below), ("above", why.above))
    crossings = {name: None if way is None else way._asdict() for name, way in ways}
    return {**why._asdict(), "rank": why.rank + 1, **crossings}


def _table(reasons: list[Reason], uniforms: list[float]) -> list[str]:
    """A line a token."""
    from rich.cells import set_cell_size

    def column(text: str, cells: int = NAME) -> str:
        return set_cell_size(text, cells)

    def crossing(way: Crossing | None) -> str:
        return column("–" if way is None else f"{way.temperature:.3f} {visible(way.instead)}", NAME + 6)

    lines = [
        f"{column('token')}  probability  the model's  rank   bits  entropy  number  {column('below', NAME + 6)}  above"
    ]
    for why, uniform in zip(reasons, uniforms, strict=True):
        figures = f"{why.probability:11.4f}  {why.model:11.4f}  {why.rank + 1:4}  {why.bits:5.2f}  {why.entropy:7.2f}"
        crossings = f"{crossing(why.below)}  {crossing(why.above)}"
        lines.append(f"{column(visible(why.name))}  {figures}  {uniform:.4f}  {crossings}".rstrip())
    return lines
