"""How costs grow: `python -m benchmarks.curves` for SCALE.md and its plots, `--quick` for a look.

Along each axis there is a store for each size, all open at once, and they take turns: a busy machine slows all of them,
and what counts is the ratio to the smallest, of medians over rounds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

from benchmarks import crowd, report, travel
from benchmarks.axis import AGENT, BATCH, FULL, QUICK, TIER, Axis, Curve, Lengths, name_of, value, write
from benchmarks.rounds import Stopwatch
from statedb import Store

SCALE = Path(__file__).with_name("SCALE.md")
PLOTS = Path(__file__).with_name("plots")
SPREAD = 1_000
"""Keys over which versions are spread."""
Call = Callable[[Random], object]


def main() -> None:
    """Print the curves; write SCALE.md and its plots after a full run."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks.curves", description=__doc__)
    asked.add_argument("--quick", action="store_true", help="a smoke run of small stores, no SCALE.md")
    lengths, begun = QUICK if (quick := asked.parse_args().quick) else FULL, time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        axes, crowds = measure(Path(folder), lengths)
    page = said(axes, crowds, [*report.machine(), *report.sqlite(), f"{time.perf_counter() - begun:,.0f} s in all"])
    print(page)
    if not quick:
        from benchmarks import plots  # matplotlib, which a look does without

        plots.curves(axes, PLOTS / "scale.svg")
        SCALE.write_text(page, encoding="utf-8")


def measure(folder: Path, lengths: Lengths) -> tuple[list[Axis], list[crowd.Crowd]]:
    """Fill the stores and return the curves along every axis, and what so many processes wrote."""
    axes = []
    own = {"deep": _deep, "spread": _spread, "keys": _keys, "changed": _changed}
    for name, along in {**own, "beside": travel.keys, "others": travel.commits, "depth": travel.depth}.items():
        with ExitStack() as opened:
            place = folder / name
            place.mkdir()
            axes.append(along(place, opened, lengths))
    return axes, [_crowd(folder / f"crowd-{count}.db", count, lengths.seconds) for count in lengths.processes]


# ---- the axes


def _deep(folder: Path, opened: ExitStack, lengths: Lengths) -> Axis:
    """One key with ever more versions."""
    sides = []
    for size in lengths.versions:
        store = opened.enter_context(Store(folder / f"{size}.db", durability="normal"))
        store.transfer.load_versions(AGENT, TIER, name_of(0), ((float(at), value(at)) for at in range(1, size + 1)))
        sides.append(Side(store, size, 1, size, 1, size))
    curves = _raced(sides, {**QUESTIONS, "feed.changes, 10 from anywhere": _anywhere}, lengths, _PROMISED)
    return Axis("versions of one key", "One key, a commit for each of its versions.", "versions", curves)


def _spread(folder: Path, opened: ExitStack, lengths: Lengths) -> Axis:
    """A thousand keys with ever more versions."""
    sides = []
    for size in lengths.versions:
        keys = min(SPREAD, size)
        store = opened.enter_context(Store(folder / f"{size}.db", durability="normal"))
        sides.append(_filled(store, size, keys, size // keys))
    curves = _raced(sides, QUESTIONS, lengths, _PROMISED)
    about = f"{SPREAD:,} keys that share the versions, {BATCH} keys to a commit: with 1,000, there is one to list."
    return Axis(f"versions of {SPREAD:,} keys", about, "versions", curves)


def _keys(folder: Path, opened: ExitStack, lengths: Lengths) -> Axis:
    """Ever more keys of two versions."""
    sides = []
    for size in lengths.keys:
        store = opened.enter_context(Store(folder / f"{size}.db", durability="normal"))
        sides.append(_filled(store, size, size, 2))
    curves = _raced(sides, QUESTIONS, lengths, {})
    return Axis("keys", "Every key with two versions.", "keys", curves)


def _changed(folder: Path, opened: ExitStack, lengths: Lengths) -> Axis:
    """Two points of one store between which ever more keys changed."""
    keys = max(lengths.changed) * 10
    store = opened.enter_context(Store(folder / "store.db", durability="normal"))
    write(store, keys, 0)
    sides = []
    for size in lengths.changed:
        before = store.transfer.head()
        store.states.set_many(AGENT, TIER, {name_of(number): value(10 * size) for number in range(size)})
        sides.append(Side(store, size, keys, 2, before, before))
    asked: dict[str, Question] = {
        "changes between them, each key": lambda side: lambda _: side.store.history.changes(side.head, side.head + 1),
        "feed.changes of that commit, each key": lambda side: lambda _: side.store.feed.changes(side.head, 1),
    }
    about = f"One store of {keys:,} keys, and commits that change so many of them; times are for each of those."
    fewer = Lengths(rounds=max(3, lengths.rounds // 4), calls=max(2, lengths.calls // 10))
    curves = _raced(sides, asked, fewer, {})
    for curve in curves:
        curve.times = {size: [time / size for time in times] for size, times in curve.times.items()}
    return Axis("keys changed between two revisions", about, "keys changed", curves)


def _crowd(path: Path, processes: int, seconds: float) -> crowd.Crowd:
    done = crowd.run(path, processes, seconds)
    written = [count for _, count, _ in done]
    return crowd.Crowd(
        processes, seconds, together=sum(written) / seconds, share=min(written) / max(1, max(written)),
        errors=[error for *_, error in done if error],
    )  # fmt: skip


# ---- what is asked


@dataclass(frozen=True, slots=True)
class Side:
    """A filled store: its size along the axis, its keys, the versions of each, the revisions from which on every key
    was there and up to which it was filled."""

    store: Store
    size: int
    keys: int
    versions: int
    first: int
    head: int


Question = Callable[[Side], Call]


def _get(side: Side) -> Call:
    get = side.store.states.get
    return lambda chance: get(AGENT, TIER, name_of(chance.randrange(side.keys)))


def _set(side: Side) -> Call:
    set_ = side.store.states.set
    return lambda chance: set_(AGENT, TIER, name_of(chance.randrange(side.keys)), value(chance.getrandbits(60)))


def _at(side: Side) -> Call:
    def call(chance: Random) -> object:
        past = side.store.at(chance.randint(side.first, side.head))
        return past.states.get(AGENT, TIER, name_of(chance.randrange(side.keys)))

    return call


def _versions(side: Side) -> Call:
    versions = side.store.history.versions
    return lambda chance: versions(AGENT, TIER, name_of(chance.randrange(side.keys)), limit=20)


def _version(side: Side) -> Call:
    get = side.store.history.get
    return lambda chance: get(AGENT, TIER, name_of(chance.randrange(side.keys)), chance.randint(1, side.versions))


def _diff(side: Side) -> Call:
    diff = side.store.history.diff

    def call(chance: Random) -> object:
        old = chance.randint(1, max(1, side.versions - 1))
        return diff(AGENT, TIER, name_of(chance.randrange(side.keys)), old, min(old + 1, side.versions))

    return call


def _changes(side: Side) -> Call:
    changes = side.store.history.changes

    return lambda chance: changes(side.head - 1, side.head)


def _feed(side: Side) -> Call:
    changes = side.store.feed.changes
    return lambda chance: changes(side.head - 1, 10)


def _anywhere(side: Side) -> Call:
    changes = side.store.feed.changes
    return lambda chance: changes(chance.randrange(side.head - 10), 10)


QUESTIONS: dict[str, Question] = {
    "get": _get,
    "set": _set,
    "at(R).get": _at,
    "versions(limit=20)": _versions,
    "history.get(version)": _version,
    "diff of two versions": _diff,
    "changes between two revisions, 1 key": _changes,
    "feed.changes of the last commit": _feed,
}
"""What is asked of random keys, versions and revisions of a store."""
_PROMISED = {"get": 1.2, "set": 1.3, "at(R).get": 1.5}
"""How much more the most versions may cost than the fewest."""


def _raced(
    sides: Sequence[Side], questions: dict[str, Question], lengths: Lengths, promised: dict[str, float]
) -> list[Curve]:
    sizes = tuple(side.size for side in sides)
    return [_curve(Curve(name, sizes, promised.get(name)), sides, asked, lengths) for name, asked in questions.items()]


def _curve(curve: Curve, sides: Sequence[Side], asked: Question, lengths: Lengths) -> Curve:
    calls = [asked(side) for side in sides]
    curve.times = {side.size: [] for side in sides}
    for turn in range(lengths.rounds + 1):
        for at in range(len(sides)):
            at = (at + turn) % len(sides)  # each begins as often
            chance = Random(turn)
            with Stopwatch() as watch:
                for _ in range(lengths.calls):
                    calls[at](chance)
            if turn:  # the first round fills caches
                curve.times[sides[at].size].append(watch.per(lengths.calls))
    return curve


def _filled(store: Store, size: int, keys: int, versions: int) -> Side:
    """Write so many versions of all keys, and in the last commit a key alone."""
    write(store, keys, 0)
    first = store.transfer.head()
    for turn in range(1, versions):
        write(store, keys, turn)
    store.states.set(AGENT, TIER, name_of(0), value(-1))
    return Side(store, size, keys, versions, first, store.transfer.head())


# ---- what is said of it


def said(axes: Sequence[Axis], crowds: Sequence[crowd.Crowd], facts: Sequence[str]) -> str:
    """Return the whole of SCALE.md."""
    return "\n".join([_PREFACE.format(facts=", ".join(facts)), *(_section(axis) for axis in axes), _crew(crowds)])


_PREFACE = """# How the costs grow
Made by `make bench-scale` (`python -m benchmarks.curves`): {facts}.

Stores of all sizes along an axis are open at once and take turns; times are medians over rounds, in microseconds for a
call, and `growth` is what the largest costs to the smallest. Keys, versions and revisions are picked at random; values
are of 100 bytes of JSON; `durability="normal"`.

![cost of each operation at each size](plots/scale.svg)
"""


def _section(axis: Axis) -> str:
    headings = [axis.unit, *(f"{size:,}" for size in axis.curves[0].sizes), "growth", "target", ""]
    lines = [
        [
            curve.name,
            *(report.micros(time) for time in curve.medians),
            f"{curve.ratio:.2f}",
            "" if curve.most is None else f"≤ {curve.most:g}",
            curve.verdict,
        ]
        for curve in axis.curves
    ]
    return f"## {axis.name.capitalize()}\n{axis.about}\n\n{report.grid(headings, lines, 1)}\n"


def _crew(crowds: Sequence[crowd.Crowd]) -> str:
    headings = ["processes", *(str(each.processes) for each in crowds)]
    lines = [
        ["sets a second, all together", *(f"{each.together:,.0f}" for each in crowds)],
        ["to one process", *(f"{each.together / crowds[0].together:.2f}" for each in crowds)],
        ["the slowest, to the fastest", *(f"{each.share:.2f}" for each in crowds)],
        ["errors", *(str(len(each.errors)) for each in crowds)],
    ]
    return f"## Processes\nEach sets a key of its own, on one file.\n\n{report.grid(headings, lines, 1)}\n"


if __name__ == "__main__":
    main()
