"""The moving picture shows at every time what was on screen then."""

from __future__ import annotations

from bisect import bisect_right
from xml.etree import ElementTree

from rich.console import Console

from tests.tui.moving import LINE, ROWS, SVG, lines_of, woven


def picture(*rows: str) -> str:
    """A screen as Rich draws it."""
    console = Console(width=40, height=ROWS, record=True, file=open("/dev/null", "w"), legacy_windows=False)  # noqa: PTH123, SIM115
    with console.file:
        console.print("\n".join(rows), style="red", markup=False, highlight=False)
        return console.export_svg(title="t")


def shown(svg: str, when: float) -> dict[int, set[str]]:
    """The texts of each line at a time, as a browser would read it."""
    root = ElementTree.fromstring(svg)
    contents = {group.attrib["id"]: group for group in root.iter(f"{SVG}g") if "id" in group.attrib}
    found: dict[int, set[str]] = {}
    for use in root.iter(f"{SVG}use"):
        values, times = ["inline"], [0.0]
        for played in use:
            values = played.attrib["values"].split(";")
            times = [float(time) * float(played.attrib["dur"][:-1]) for time in played.attrib["keyTimes"].split(";")]
        if values[bisect_right(times, when) - 1] == "inline":
            texts = contents[use.attrib["href"][1:]].iter(f"{SVG}text")
            found.setdefault(round(float(use.attrib["y"]) / LINE), set()).update(text.text or "" for text in texts)
    return found


def test_at_every_time_it_shows_the_frame_of_that_time():
    screens = [("甲", "乙"), ("甲", "乙 <b>&", "丙"), ("乙", "甲"), ("甲", "乙"), ()]
    frames = [(float(n), picture(*rows)) for n, rows in enumerate(screens)]
    played = woven(frames, 6)
    for n, (_, frame) in enumerate(frames):
        there = {
            line: {"".join(ElementTree.fromstring(f"<g>{content}</g>").itertext())}
            for line, content in lines_of(frame).items()
        }
        assert shown(played, n + 0.5) == there
        assert len(there) == len(screens[n])
