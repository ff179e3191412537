"""How fast runs translate and how well: one thread of a CPU, greedy and beam 5, float32 and int8, beside CTranslate2.

    python benchmarks/pareto.py RUN... --source FILE --reference FILE --out FOLDER [--rounds 3] [--limit LINES]
    python benchmarks/pareto.py --out FOLDER

The runs share a test set. Those that can be exported are measured by CTranslate2 as well. Each measurement is a
process of its own on one thread (see decode_cpu.py): it loads the model, warms up on some sentences, and translates
all of them in batches of 64, from text to text. Rounds go over everything in turn. Speed is the words of the SOURCE
text a second, split at white space, by the median of the rounds: the same words for every system, so that none gains
by saying more. BLEU is that of `regard evaluate`. All divide log-probability by the length, whatever
the recipe's penalty.

FOLDER has measurements.json, written after each round, and pareto.png; the table goes to standard output. Without
runs, table and picture are made again of what was measured there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from common import count, fail, read_pair, told
from decode_cpu import Task, export, measured

from regard.checkpoints.run_folder import RunFolder, resolve_checkpoint

MODES = ("greedy", "beam 5")
OURS = ("regard float32", "regard int8")
THEIRS = ("ctranslate2 float32", "ctranslate2 int8")
SHAPES = dict(zip((*OURS, *THEIRS), "os^D", strict=True))
# Those that Okabe and Ito made for readers of any colour vision, without their yellow, and three more.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c613c", "#7f7f7f", "#6a3d9a")
NUMBER = 9  # points, the height of a number in the picture


@dataclass
class Row:
    """A run by one system in one mode. seconds: of each round."""

    run: str
    system: str
    mode: str
    seconds: list[float] = field(default_factory=list)
    bleu: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.run}, {self.system.replace('ctranslate2', 'CTranslate2')}, {self.mode}"


@dataclass(frozen=True)
class Point:
    """What the picture and the table have of a row: words a second, and BLEU."""

    row: Row
    speed: float

    @property
    def bleu(self) -> float:
        return self.row.bleu


@dataclass(frozen=True)
class Job:
    """Where it goes, and how often everything is measured."""

    out: Path
    rounds: int

    @property
    def file(self) -> Path:
        return self.out / "measurements.json"


def measure(runs: dict[str, Path], source: Path, lines: Sequence[str], references: Sequence[str], job: Job) -> None:
    """Every row in every round, into the job's folder after each.

    runs: checkpoints by name. source: a file with the lines.
    """
    from regard.evaluation.metrics import bleu

    words = sum(len(line.split()) for line in lines)
    with tempfile.TemporaryDirectory() as folder:
        exports = {name: Path(folder) / str(number) for number, name in enumerate(runs)}
        rows = [
            Row(name, system, mode)
            for name in runs
            for system in (*OURS, *(THEIRS if _exported(name, runs[name], exports[name]) else ()))
            for mode in MODES
        ]
        for number in range(1, job.rounds + 1):
            for row in rows:
                found = measured(Task(str(runs[row.run]), str(source), row.system, row.mode, str(exports[row.run])))
                row.seconds.append(found["seconds"])
                row.bleu = bleu(found["said"], references, target_language=_language(runs[row.run]))
                print(f"round {number}: {row.name}: {words / found['seconds']:,.0f} words/s", file=sys.stderr)
            table = {"lines": len(lines), "words": words, "rows": [asdict(row) for row in rows]}
            job.file.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _exported(name: str, checkpoint: Path, folder: Path) -> bool:
    wrong = export(checkpoint, "ctranslate2", folder)
    if not wrong and not (folder / "ctranslate2" / "source.spm").exists():
        wrong = "its tokenizer is not SentencePiece"
    if wrong:
        print(f"{name}: not by CTranslate2: {wrong}", file=sys.stderr)
    return not wrong


def _language(checkpoint: Path) -> str:
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    return str(config["recipe"]["data"]["target_language"])


def named(runs: Sequence[Path]) -> dict[str, Path]:
    """Each run's checkpoint by the name of its folder. Raises CheckpointError where there is none."""
    found: dict[str, Path] = {}
    for run in runs:
        name = run.resolve().name
        if RunFolder(run).recipe.is_file() and RunFolder(run).finished is None:
            name += " (unfinished)"
        if name in found:
            fail(f"{run}: another run is called {name} too")
        found[name] = resolve_checkpoint(run).resolve()
    return found


def measurements(file: Path) -> tuple[list[Point], int]:
    """What was measured, and on how many lines."""
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
        rows = [Row(**row) for row in table["rows"]]
        return [Point(row, table["words"] / statistics.median(row.seconds)) for row in rows], table["lines"]
    except (ValueError, KeyError, TypeError) as error:
        fail(f"{file}: these are no measurements: {error}")


def frontier(some: Sequence[Point]) -> list[Point]:
    """Those that no other beats in speed without losing BLEU, nor in BLEU without losing speed; the slowest first."""
    found: list[Point] = []
    for point in sorted(some, key=lambda one: (-one.speed, -one.bleu)):
        if not found or point.bleu > found[-1].bleu:
            found.append(point)
    return found[::-1]


def report(some: Sequence[Point], lines: int) -> None:
    """The table, in Markdown."""
    best = frontier(some)
    rounds = len(some[0].row.seconds)
    print(f"{lines:,} lines, one thread, rounds: {rounds}, medians. Words are those of the source text.\n")
    print("| run | system | search | words/s | BLEU | on the frontier |\n| --- | --- | --- | ---: | ---: | ---: |")
    for point in some:
        row = point.row
        place = str(best.index(point) + 1) if point in best else ""
        print(f"| {row.run} | {row.system} | {row.mode} | {point.speed:,.0f} | {row.bleu:.2f} | {place} |")


def draw(some: Sequence[Point], lines: int, path: Path) -> None:
    """Speed to the right, on a logarithmic axis, and BLEU upwards; what has which look stands beside it."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    best, runs = frontier(some), list(dict.fromkeys(point.row.run for point in some))
    colours = {run: COLOURS[place % len(COLOURS)] for place, run in enumerate(runs)}
    looks = [shape for shape in SHAPES if any(point.row.system == shape for point in some)]
    height = max(5.2, 0.22 * (len(runs) + len(looks) + len(best) + 12))
    figure, (axes, side) = pyplot.subplots(1, 2, figsize=(10.5, height), width_ratios=(2.6, 1), layout="constrained")
    axes.set_xscale("log")
    for point in some:
        axes.plot(point.speed, point.bleu, **_look(point.row.system, point.row.mode, colours[point.row.run]))
    axes.margins(0.08)
    (left, _), (bottom, _) = axes.get_xlim(), axes.get_ylim()
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())
    axes.plot(
        [left, *(point.speed for point in best), best[-1].speed],
        [best[0].bleu, *(point.bleu for point in best), bottom],
        drawstyle="steps-pre",
        color="#8a8f98",
        linewidth=1.2,
        zorder=1,
    )
    axes.set_xlabel("words of the source a second, one thread")
    axes.set_ylabel("BLEU")
    axes.set_title(f"Speed and quality, {lines:,} test lines", fontsize=11, loc="left", pad=14)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.grid(color="#e3e6ea", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.canvas.draw()  # places are known from here on
    _number(axes, best)
    _explain(figure, side, colours, looks, best)
    figure.savefig(path, dpi=150, bbox_inches="tight")
    pyplot.close(figure)


def _look(system: str, mode: str, colour: str) -> dict[str, Any]:
    """Arguments of plot: the shape says the system, and greedy search is hollow."""
    inside = colour if mode == "beam 5" else "white"
    return {
        "marker": SHAPES[system],
        "color": colour,
        "markerfacecolor": inside,
        "markersize": 8,
        "markeredgewidth": 1.6,
        "linestyle": "none",
    }


def _number(axes: Any, best: Sequence[Point]) -> None:
    """A number to the upper right of each point of the frontier, where no point can be; if need be above another."""
    unit = axes.figure.dpi / 72
    placed: list[tuple[float, float]] = []
    for number, point in reversed(list(enumerate(best, start=1))):
        x, y = axes.transData.transform((point.speed, point.bleu))
        right, up = x + 5 * unit, y + 5 * unit
        for other_right, other_up in placed:
            if abs(other_right - right) < 1.6 * NUMBER * unit and up < other_up + 1.2 * NUMBER * unit:
                up = other_up + 1.2 * NUMBER * unit
        placed.append((right, up))
        axes.annotate(
            str(number),
            (point.speed, point.bleu),
            xytext=((right - x) / unit, (up - y) / unit),
            textcoords="offset points",
            fontsize=NUMBER,
            fontweight="bold",
            annotation_clip=False,
        )


def _explain(figure: Any, side: Any, colours: dict[str, str], looks: Sequence[str], best: Sequence[Point]) -> None:
    """The legends, one below the other: runs by colour, systems by shape, the frontier by number."""
    from matplotlib.legend import Legend
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    side.axis("off")
    grey = "#4a4f57"
    shapes = [
        (Line2D([], [], **_look(system, mode, grey)), f"{system.replace('ctranslate2', 'CTranslate2')}, {mode}")
        for system in looks
        for mode in MODES
    ]
    blocks: list[tuple[str, list[tuple[Any, str]]]] = [
        ("Run", [(Patch(color=colour), run) for run, colour in colours.items()]),
        ("System and search", shapes),
        (
            "The frontier",
            [(Line2D([], [], linestyle="none"), f"{place}  {one.row.name}") for place, one in enumerate(best, start=1)],
        ),
    ]
    top = 1.0
    for title, entries in blocks:
        bare = title == "The frontier"
        legend = Legend(
            side,
            *zip(*entries, strict=True),
            title=title,
            loc="upper left",
            bbox_to_anchor=(0, top),
            borderaxespad=0,
            borderpad=0,
            frameon=False,
            alignment="left",
            fontsize=9,
            title_fontproperties={"weight": "bold", "size": 9},
            handlelength=0 if bare else 1.2,
            handletextpad=0 if bare else 0.6,
        )
        side.add_artist(legend)
        legend.set_clip_on(False)  # it may be wider than its place: the picture grows with it
        figure.canvas.draw()
        top -= legend.get_window_extent().height / side.get_window_extent().height + 0.04


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--source", type=Path)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=count, default=3)
    parser.add_argument("--limit", type=count, help="the first lines of the test set alone")
    arguments = parser.parse_args()
    job = Job(arguments.out, arguments.rounds)
    if arguments.runs:
        if arguments.source is None or arguments.reference is None:
            parser.error("runs are measured on --source and --reference")
        runs = named(arguments.runs)
        lines, references = read_pair(arguments.source, arguments.reference, arguments.limit)
        job.out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "source"
            source.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            for number, name in enumerate(runs):  # copied, for a run that is still trained deletes its checkpoints
                runs[name] = shutil.copytree(
                    runs[name], Path(folder) / str(number), ignore=shutil.ignore_patterns("training")
                )
            measure(runs, source, lines, references, job)
    some, count_of_lines = measurements(job.file)
    report(some, count_of_lines)
    draw(some, count_of_lines, job.out / "pareto.png")


if __name__ == "__main__":
    with told():
        main()
