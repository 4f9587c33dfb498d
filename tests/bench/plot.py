"""A line plot as SVG, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")  # Okabe and Ito
WIDTH, HEIGHT, LEFT, BELOW = 720, 440, 60, 40


def line_plot(curves: Mapping[str, Sequence[tuple[float, float]]], x_name: str, y_name: str) -> str:
    """Curves by name; the height is cut at the third quartile of all, where the first steps would hide the rest."""
    points = [point for curve in curves.values() for point in curve]
    last = max(x for x, _ in points)
    ys = sorted(y for _, y in points)
    low, high = ys[0] - 0.1, ys[len(ys) * 3 // 4] + 0.1

    def place(x: float, y: float) -> str:
        across = LEFT + x / last * (WIDTH - LEFT - 150)
        return f"{across:.1f},{(HEIGHT - BELOW) * (high - min(y, high)) / (high - low):.1f}"

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">']
    parts.append(f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>')
    for i in range(6):
        y, x = low + (high - low) * i / 5, last * i / 5
        down, across = place(0, y).split(",")[1], place(x, low).split(",")[0]
        parts.append(f'<text x="{LEFT - 8}" y="{down}" font-size="12" text-anchor="end">{y:.2f}</text>')
        parts.append(f'<text x="{across}" y="{HEIGHT - BELOW + 16}" font-size="12" text-anchor="middle">{x:.0f}</text>')
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - 150}" y1="{down}" y2="{down}" stroke="#ddd"/>')
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 6}" font-size="12">{escape(x_name)} → / {escape(y_name)} ↑</text>')
    for i, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[i % len(COLOURS)]
        line = " ".join(place(x, y) for x, y in curve)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        down = 20 + 18 * i
        parts.append(f'<text x="{WIDTH - 140}" y="{down}" font-size="13" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>\n"])
