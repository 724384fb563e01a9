"""The figures as pictures: SVG that is the same for the same figures, and letters in it stay letters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.peers.peer import imported
from benchmarks.peers.races import PeerRow
from benchmarks.storage import Room

if TYPE_CHECKING:
    from benchmarks.axis import Axis

_OURS, _THEIRS = "#1b6ca8", "#c9ccd1"
_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "statedb", "font.size": 9, "font.family": "sans-serif"}


def peers(rows: Sequence[PeerRow], path: Path) -> None:
    """Draw the time of statedb and of each peer, a panel for each row's name."""
    shown = [name for name in dict.fromkeys(row.name for row in rows) if _floors(rows, name)]
    figure, panels = _figure(shown, 3, 2.1)
    for panel, name in zip(panels, shown, strict=False):
        measured = _floors(rows, name)
        bars = [("statedb", median(median(row.statedb) for row in measured))]
        bars += [(row.peer, median(row.floor or [])) for row in measured]
        _bars(panel, name, bars, "µs")
    _save(figure, path)


def storage(rooms: Sequence[Room], path: Path) -> None:
    """Draw what each history takes, a panel for each."""
    shown = list(dict.fromkeys(room.history for room in rooms))
    figure, panels = _figure(shown, 2, 2.4)
    for panel, name in zip(panels, shown, strict=False):
        bars = [(room.store, room.size / 1e6) for room in rooms if room.history == name and room.size]
        _bars(panel, name, bars, "MB")
    _save(figure, path)


def curves(axes: Sequence[Axis], path: Path) -> None:
    """Draw the cost of each operation at each size, a panel for each axis."""
    figure, panels = _figure([axis.name for axis in axes], 2, 3.2)
    for panel, axis in zip(panels, axes, strict=False):
        for curve in axis.curves:
            panel.plot(curve.sizes, curve.medians, marker="o", markersize=3, label=curve.name)
        panel.set(xscale="symlog" if 0 in axis.curves[0].sizes else "log", yscale="log", title=axis.name, ylabel="µs")
        panel.minorticks_off()
        panel.legend(fontsize=6, frameon=False)
        panel.grid(alpha=0.3)
    _save(figure, path)


def _floors(rows: Sequence[PeerRow], name: str) -> list[PeerRow]:
    return [row for row in rows if row.name == name and row.floor]


def _figure(shown: Sequence[str], across: int, height: float) -> tuple[Any, list[Any]]:
    """Return a figure and its panels, row by row; those without anything to show are gone."""
    imported("matplotlib").use("svg")
    pyplot = imported("matplotlib.pyplot")
    pyplot.rcParams.update(_STYLE)
    down = -(-len(shown) // across)
    figure, grid = pyplot.subplots(down, across, figsize=(4.2 * across, height * down), squeeze=False)
    panels = list(grid.flat)
    for panel in panels[len(shown) :]:
        panel.remove()
    return figure, panels


def _bars(panel: Any, title: str, bars: Sequence[tuple[str, float]], unit: str) -> None:
    names, sizes = [name for name, _ in bars], [size for _, size in bars]
    drawn = panel.barh(names, sizes, color=[_OURS if name == "statedb" else _THEIRS for name in names])
    panel.bar_label(drawn, [f"{size:,.3g} {unit}" if size < 1000 else f"{size:,.0f} {unit}" for size in sizes],
                    padding=2, fontsize=7)  # fmt: skip
    panel.set_title(title, fontsize=9)
    panel.invert_yaxis()
    panel.margins(x=0.25)
    panel.xaxis.set_visible(False)
    panel.tick_params(labelsize=7)
    panel.spines[["top", "right", "bottom"]].set_visible(False)


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None})
    imported("matplotlib.pyplot").close(figure)
    # matplotlib ends lines with blanks, which linters of a repository find.
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n", encoding="utf-8")
