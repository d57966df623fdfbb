"""Figures over block size, as an SVG file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.case import label

Points = Sequence[tuple[int, float]]


def draw(path: Path, curves: Mapping[str, Points], title: str) -> None:
    """Draws the curves on logarithmic axes: bytes of a block, nanoseconds an operation."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "membuf"  # the same figures give the same file
    mpl.rcParams["svg.fonttype"] = "none"  # text stays text
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, points in curves.items():
        xs, ys = zip(*points, strict=True)
        ours = name == "membuf"
        axes.plot(xs, ys, marker="o", label=name, linewidth=3 if ours else 1.5)
    axes.set(title=title, xlabel="block", ylabel="ns", xscale="log", yscale="log")
    sizes = sorted({size for points in curves.values() for size, _ in points})
    axes.set_xticks(sizes, [label(size) for size in sizes])
    axes.minorticks_off()
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.savefig(path, metadata={"Date": None})
