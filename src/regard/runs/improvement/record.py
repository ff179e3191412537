"""What is stored of an improvement: its corrections, the old pairs and dev set, and the decision.

RUN/improve/ is in a run that `regard improve` has made:

    improve.json      where the run comes from, its recipe, and the decision; written last
    corrections.tsv   the corrections to train on, with those of earlier improvements
    held-out.tsv      the corrections that are only evaluated on
    old-pairs.tsv     a sample of the pairs that the old model was trained on
    old-dev.tsv       the dev set of the old run
    dropped.jsonl     the corrections that are not used, and why

If the run has several sets of tags, `corrections.tsv` has the pairs of the first one, `corrections-2.tsv` those of the
second one, and so on; the other TSV files likewise. Files without pairs are left out.

RUN/improvements/NAME/ is the same without the last three, in a run whose best checkpoint is the improved one, NAME.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from regard.checkpoints.run_folder import IMPROVE, resolve_checkpoint
from regard.corpus.bilingual_file import BilingualFile
from regard.corpus.corpus import Pair
from regard.corpus.formats.sides import Sides
from regard.corpus.tagged import add_tags, split_tags
from regard.corpus_checks.cleaning import to_tsv_field
from regard.errors import CheckpointError, raise_on_os_error
from regard.files import write_atomic

IMPROVEMENTS = "improvements"
RECORD = "improve.json"
FORMAT = 1

TextPair = tuple[str, str]  # source with its tags, target
Tags = tuple[str, ...]
NO_TAGS: tuple[Tags, ...] = ((),)


@dataclass(frozen=True)
class Comparison:
    """The old and the new model on a test set, translated as `regard translate` does.

    Attributes:
        pairs: The number of pairs.
        chrf: chrF of the old and the new model.
        bleu: BLEU of the old and the new model.
        p: p-value of the paired bootstrap test on chrF.
    """

    pairs: int
    chrf: tuple[float, float]
    bleu: tuple[float, float]
    p: float

    @property
    def gain(self) -> float:
        """The chrF that the new model gains; negative if it loses."""
        return self.chrf[1] - self.chrf[0]


@dataclass(frozen=True)
class Decision:
    """Whether the new model is accepted.

    Attributes:
        accepted: Whether it is.
        reason: Why, as a sentence without a full stop.
        corrections: The comparison on the corrections that were held out.
        dev: The comparison on the old dev set.
        share: The share of the change that is kept; see regard.runs.improvement.selection.
    """

    accepted: bool
    reason: str
    corrections: Comparison
    dev: Comparison
    share: float = 1.0


@dataclass(frozen=True)
class Record:
    """How a run was improved.

    Attributes:
        run: The folder of the old run.
        checkpoint: The checkpoint that was improved.
        pool: The run whose data holds the old pairs: the old run, or the first one of a chain of improvements.
        recipe: The recipe of the new run, as a table.
        replace: Whether the old run gets the new checkpoint if it is accepted.
        decision: None until the new model is evaluated.
        installed: The name of the new checkpoint in the old run, if it has got it.
        tags: The sets of tags of the run.
    """

    run: str
    checkpoint: str
    pool: str
    recipe: dict[str, Any]
    replace: bool = False
    decision: Decision | None = None
    installed: str = ""
    tags: tuple[Tags, ...] = NO_TAGS


class RecordFolder:
    """The folder of a record.

    Attributes:
        path: The folder.
        corrections: The file of corrections to train on.
        held_out: The file of corrections that are held out.
        old_pairs: The file of old pairs.
        old_dev: The file of the old dev set.
        dropped: The file of corrections that are not used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.corrections = path / "corrections.tsv"
        self.held_out = path / "held-out.tsv"
        self.old_pairs = path / "old-pairs.tsv"
        self.old_dev = path / "old-dev.tsv"
        self.dropped = path / "dropped.jsonl"
        self._record = path / RECORD

    @property
    def exists(self) -> bool:
        """Whether there is a record."""
        return self._record.is_file()

    def read(self) -> Record:
        """Read the record. Raise CheckpointError if it cannot be read."""
        try:
            table = json.loads(self._record.read_text(encoding="utf-8"))
            if table.pop("format") != FORMAT:
                raise ValueError("it was written by a later version of regard")
            decision = table.pop("decision")
            tags = tuple(map(tuple, table.pop("tags", NO_TAGS)))
            return Record(**table, tags=tags, decision=None if decision is None else _decision(decision))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"the record of the improvement cannot be read: {error}",
                where=self._record,
                fix="improve the run again, into another folder",
            ) from None

    def write(self, record: Record) -> None:
        """Write the record. Raise CheckpointError if that fails."""
        table = {"format": FORMAT, **asdict(record)}
        with raise_on_os_error(
            CheckpointError, "the record cannot be written", where=self.path, fix="free some disk space"
        ):
            write_atomic(self._record, json.dumps(table, indent=1, ensure_ascii=False) + "\n")

    def copy_corrections(self, target: RecordFolder, record: Record) -> None:
        """Write the corrections and a record into another folder. Raise CheckpointError if that fails."""
        with raise_on_os_error(
            CheckpointError, "the corrections cannot be copied", where=target.path, fix="free some disk space"
        ):
            target.path.mkdir(parents=True, exist_ok=True)
            for old, new in ((self.corrections, target.corrections), (self.held_out, target.held_out)):
                for source, copied in zip(part_files(old, record.tags), part_files(new, record.tags), strict=True):
                    if source.is_file():
                        shutil.copyfile(source, copied)
        target.write(record)


def _decision(table: dict[str, Any]) -> Decision:
    corrections, dev = (_comparison(table[name]) for name in ("corrections", "dev"))
    return Decision(bool(table["accepted"]), str(table["reason"]), corrections, dev, float(table["share"]))


def _comparison(table: dict[str, Any]) -> Comparison:
    chrf, bleu = ((float(table[name][0]), float(table[name][1])) for name in ("chrf", "bleu"))
    return Comparison(int(table["pairs"]), chrf, bleu, float(table["p"]))


def part_files(path: Path, tags: Sequence[Tags]) -> list[Path]:
    """Return the file of the pairs of each set of tags."""
    return [path if number == 1 else path.with_stem(f"{path.stem}-{number}") for number in range(1, len(tags) + 1)]


def write_pairs(path: Path, pairs: Iterable[TextPair], tags: Sequence[Tags] = NO_TAGS) -> None:
    """Write pairs as TSV with a header, into a file for each set of tags. Raise CheckpointError if that fails."""
    rows: dict[Tags, list[str]] = {known: [] for known in tags}
    for source, target in pairs:
        known, text = split_tags(source)
        rows[tuple(known)].append(f"{to_tsv_field(text)}\t{to_tsv_field(target)}\n")
    for file, lines in zip(part_files(path, tags), rows.values(), strict=True):
        with raise_on_os_error(CheckpointError, "the file cannot be written", where=file, fix="free some disk space"):
            if lines:
                write_atomic(file, f"source\ttarget\n{''.join(lines)}")
            else:
                file.unlink(missing_ok=True)


def read_pairs(path: Path, tags: Sequence[Tags] = NO_TAGS) -> list[TextPair]:
    """Read what `write_pairs` has written; no pairs if a file is missing. Raise DataError for a damaged file."""
    pairs: list[TextPair] = []
    for file, known in zip(part_files(path, tags), tags, strict=True):
        if file.is_file():
            corpus: Sequence[Pair] = list(BilingualFile(file, Sides(source_column="source", target_column="target")))
            pairs += [(add_tags(pair.source, known), pair.target) for pair in corpus]
    return pairs


def made_by(folder: Path) -> RecordFolder:
    """Return the record folder of a run that `regard improve` makes."""
    return RecordFolder(folder / IMPROVE)


def latest_record(run: Path) -> RecordFolder | None:
    """Return the record of the improvement that made the best checkpoint of a run; None if there is none.

    Raises:
        CheckpointError: The run has no checkpoint.
    """
    for folder in (RecordFolder(run / IMPROVEMENTS / resolve_checkpoint(run).name), made_by(run)):
        if folder.exists:
            return folder
    return None
