"""Plot speed against quality of runs and of CTranslate2: one CPU thread, greedy and beam 5, float32 and int8.

    python benchmarks/pareto.py RUN... --source FILE --reference FILE --out FOLDER [--rounds 3] [--limit LINES]
    python benchmarks/pareto.py --out FOLDER

All runs translate the same test set. Runs that can be exported are also measured with CTranslate2. Each measurement is
a separate process with one thread (see decode_cpu.py): it loads the model, warms up on some sentences, and translates
all of them in batches of 64, from text to text. Each round measures everything once. Speed is the number of words of
the SOURCE text per second, split at white space, from the median of the rounds; longer output gives no advantage. BLEU
is that of `regard evaluate`. Every system divides log-probability by length and ignores the penalty of the recipe.

The script writes measurements.json (after each round) and pareto.png to FOLDER, and prints the table. Without runs, it
recreates the table and the plot from the measurements in FOLDER.
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

from common import count, exit_on_error, fail, print_machine, read_pair
from decode_cpu import Task, export, measure_task

from regard.checkpoints.run_folder import RunFolder, resolve_checkpoint

MODES = ("greedy", "beam 5")
OURS = ("regard float32", "regard int8")
THEIRS = ("ctranslate2 float32", "ctranslate2 int8")
SHAPES = dict(zip((*OURS, *THEIRS), "os^D", strict=True))
# The colours of Okabe and Ito, which readers with any colour vision can distinguish, without yellow, plus three more.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c613c", "#7f7f7f", "#6a3d9a")
NUMBER_SIZE = 9  # the font size of numbers in the plot, in points


@dataclass
class Row:
    """A run, translated by one system in one mode; `seconds` has a value for each round."""

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
    """A row as a point: words per second, and BLEU."""

    row: Row
    speed: float

    @property
    def bleu(self) -> float:
        return self.row.bleu


@dataclass(frozen=True)
class Job:
    """The output folder and the number of rounds."""

    out: Path
    rounds: int

    @property
    def file(self) -> Path:
        return self.out / "measurements.json"


def measure(runs: dict[str, Path], source: Path, lines: Sequence[str], references: Sequence[str], job: Job) -> None:
    """Measure every row in every round. Write the measurements to the folder of the job after each round.

    Args:
        runs: Checkpoints by name.
        source: A file with the lines.
        lines: The source sentences.
        references: The reference translations.
        job: The output folder and the number of rounds.
    """
    from regard.evaluation.metrics import bleu

    words = sum(len(line.split()) for line in lines)
    with tempfile.TemporaryDirectory() as folder:
        exports = {name: Path(folder) / str(number) for number, name in enumerate(runs)}
        rows = [
            Row(name, system, mode)
            for name in runs
            for system in (*OURS, *(THEIRS if _export(name, runs[name], exports[name]) else ()))
            for mode in MODES
        ]
        for number in range(1, job.rounds + 1):
            for row in rows:
                task = Task(str(runs[row.run]), str(source), row.system, row.mode, str(exports[row.run]))
                measurement = measure_task(task)
                row.seconds.append(measurement["seconds"])
                row.bleu = bleu(measurement["texts"], references, target_language=_language(runs[row.run]))
                print(f"round {number}: {row.name}: {words / measurement['seconds']:,.0f} words/s", file=sys.stderr)
            table = {"lines": len(lines), "words": words, "rows": [asdict(row) for row in rows]}
            job.file.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _export(name: str, checkpoint: Path, folder: Path) -> bool:
    """Export a checkpoint to CTranslate2. Return whether that is possible; print why not."""
    problem = export(checkpoint, "ctranslate2", folder)
    if not problem and not (folder / "ctranslate2" / "source.spm").exists():
        problem = "its tokenizer is not SentencePiece"
    if problem:
        print(f"{name}: not measured with CTranslate2: {problem}", file=sys.stderr)
    return not problem


def _language(checkpoint: Path) -> str:
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    return str(config["recipe"]["data"]["target_language"])


def checkpoints_by_name(runs: Sequence[Path]) -> dict[str, Path]:
    """Return the checkpoint of each run, by the name of its folder.

    Raises:
        CheckpointError: If a run has no checkpoint.
    """
    checkpoints: dict[str, Path] = {}
    for run in runs:
        name = run.resolve().name
        if RunFolder(run).recipe.is_file() and RunFolder(run).finished is None:
            name += " (unfinished)"
        if name in checkpoints:
            fail(f"{run}: another run is also named {name}")
        checkpoints[name] = resolve_checkpoint(run).resolve()
    return checkpoints


def load_measurements(file: Path) -> tuple[list[Point], int]:
    """Return the measured points and the number of lines that were translated."""
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
        rows = [Row(**row) for row in table["rows"]]
        return [Point(row, table["words"] / statistics.median(row.seconds)) for row in rows], table["lines"]
    except (ValueError, KeyError, TypeError) as error:
        fail(f"{file}: this file does not contain measurements: {error}")


def frontier(points: Sequence[Point]) -> list[Point]:
    """Return the Pareto frontier, slowest first: no other point is both at least as fast and at least as good."""
    best: list[Point] = []
    for point in sorted(points, key=lambda point: (-point.speed, -point.bleu)):
        if not best or point.bleu > best[-1].bleu:
            best.append(point)
    return best[::-1]


def report(points: Sequence[Point], lines: int) -> None:
    """Print the table, in Markdown."""
    best = frontier(points)
    rounds = len(points[0].row.seconds)
    print_machine()
    print(f"{lines:,} lines, one thread, rounds: {rounds}, medians. Words of the source text are counted.\n")
    print("| run | system | search | words/s | BLEU | on the frontier |\n| --- | --- | --- | ---: | ---: | ---: |")
    for point in points:
        row = point.row
        rank = str(best.index(point) + 1) if point in best else ""
        print(f"| {row.run} | {row.system} | {row.mode} | {point.speed:,.0f} | {row.bleu:.2f} | {rank} |")


def draw(points: Sequence[Point], lines: int, path: Path) -> None:
    """Plot BLEU over speed, on a logarithmic axis, with the legends on the right."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    best, runs = frontier(points), list(dict.fromkeys(point.row.run for point in points))
    colours = {run: COLOURS[index % len(COLOURS)] for index, run in enumerate(runs)}
    systems = [system for system in SHAPES if any(point.row.system == system for point in points)]
    height = max(5.2, 0.22 * (len(runs) + len(systems) + len(best) + 12))
    figure, (axes, side) = pyplot.subplots(1, 2, figsize=(10.5, height), width_ratios=(2.6, 1), layout="constrained")
    axes.set_xscale("log")
    for point in points:
        axes.plot(point.speed, point.bleu, **_style(point.row.system, point.row.mode, colours[point.row.run]))
    axes.margins(0.08)
    (x_min, _), (y_min, _) = axes.get_xlim(), axes.get_ylim()
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())
    axes.plot(
        [x_min, *(point.speed for point in best), best[-1].speed],
        [best[0].bleu, *(point.bleu for point in best), y_min],
        drawstyle="steps-pre",
        color="#8a8f98",
        linewidth=1.2,
        zorder=1,
    )
    axes.set_xlabel("source words per second, one thread")
    axes.set_ylabel("BLEU")
    axes.set_title(f"Speed and quality, {lines:,} test lines", fontsize=11, loc="left", pad=14)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.grid(color="#e3e6ea", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.canvas.draw()  # positions are known from here on
    _draw_numbers(axes, best)
    _draw_legends(figure, side, colours, systems, best)
    figure.savefig(path, dpi=150, bbox_inches="tight")
    pyplot.close(figure)


def _style(system: str, mode: str, colour: str) -> dict[str, Any]:
    """Return arguments of `plot`: the shape is that of the system, and greedy search has hollow markers."""
    fill = colour if mode == "beam 5" else "white"
    return {
        "marker": SHAPES[system],
        "color": colour,
        "markerfacecolor": fill,
        "markersize": 8,
        "markeredgewidth": 1.6,
        "linestyle": "none",
    }


def _draw_numbers(axes: Any, best: Sequence[Point]) -> None:
    """Number the frontier points at their upper right, where no point can be; move overlapping numbers up."""
    unit = axes.figure.dpi / 72
    placed: list[tuple[float, float]] = []
    for number, point in reversed(list(enumerate(best, start=1))):
        x, y = axes.transData.transform((point.speed, point.bleu))
        label_x, label_y = x + 5 * unit, y + 5 * unit
        for other_x, other_y in placed:
            if abs(other_x - label_x) < 1.6 * NUMBER_SIZE * unit and label_y < other_y + 1.2 * NUMBER_SIZE * unit:
                label_y = other_y + 1.2 * NUMBER_SIZE * unit
        placed.append((label_x, label_y))
        axes.annotate(
            str(number),
            (point.speed, point.bleu),
            xytext=((label_x - x) / unit, (label_y - y) / unit),
            textcoords="offset points",
            fontsize=NUMBER_SIZE,
            fontweight="bold",
            annotation_clip=False,
        )


def _draw_legends(
    figure: Any, side: Any, colours: dict[str, str], systems: Sequence[str], best: Sequence[Point]
) -> None:
    """Draw the legends, from top to bottom: runs by colour, systems by shape, the frontier by number."""
    from matplotlib.legend import Legend
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    side.axis("off")
    grey = "#4a4f57"
    shapes = [
        (Line2D([], [], **_style(system, mode, grey)), f"{system.replace('ctranslate2', 'CTranslate2')}, {mode}")
        for system in systems
        for mode in MODES
    ]
    blocks: list[tuple[str, list[tuple[Any, str]]]] = [
        ("Run", [(Patch(color=colour), run) for run, colour in colours.items()]),
        ("System and search", shapes),
        (
            "Pareto frontier",
            [
                (Line2D([], [], linestyle="none"), f"{rank}  {point.row.name}")
                for rank, point in enumerate(best, start=1)
            ],
        ),
    ]
    top = 1.0
    for title, entries in blocks:
        has_no_markers = title == "Pareto frontier"
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
            handlelength=0 if has_no_markers else 1.2,
            handletextpad=0 if has_no_markers else 0.6,
        )
        side.add_artist(legend)
        legend.set_clip_on(False)  # a legend that is too wide enlarges the figure
        figure.canvas.draw()
        top -= legend.get_window_extent().height / side.get_window_extent().height + 0.04


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--source", type=Path)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=count, default=3)
    parser.add_argument("--limit", type=count, help="use only the first LIMIT lines of the test set")
    arguments = parser.parse_args()
    job = Job(arguments.out, arguments.rounds)
    if arguments.runs:
        if arguments.source is None or arguments.reference is None:
            parser.error("give --source and --reference to measure runs")
        runs = checkpoints_by_name(arguments.runs)
        lines, references = read_pair(arguments.source, arguments.reference, arguments.limit)
        job.out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "source"
            source.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            for number, name in enumerate(runs):  # copy: a run that is still training deletes checkpoints
                runs[name] = shutil.copytree(
                    runs[name], Path(folder) / str(number), ignore=shutil.ignore_patterns("training")
                )
            measure(runs, source, lines, references, job)
    points, num_lines = load_measurements(job.file)
    report(points, num_lines)
    draw(points, num_lines, job.out / "pareto.png")


if __name__ == "__main__":
    with exit_on_error():
        main()
