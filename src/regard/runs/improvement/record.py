"""What is stored of an improvement: its corrections, the old pairs and dev set, and the decision.

RUN/improve/ is in a run that `regard improve` has made:

    improve.json      where the run comes from, its recipe, and the decision; written last
    corrections.tsv   the corrections to train on, with those of earlier improvements
    held-out.tsv      the corrections that are only evaluated on
    old-pairs.tsv     a sample of the pairs that the old model was trained on
    old-dev.tsv       the dev set of the old run
    dropped.jsonl     the corrections that are not used, and why

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
from regard.corpus_checks.cleaning import to_tsv_field
from regard.errors import CheckpointError, raise_on_os_error
from regard.files import write_atomic

IMPROVEMENTS = "improvements"
RECORD = "improve.json"
FORMAT = 1

TextPair = tuple[str, str]  # source, target


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
    """

    run: str
    checkpoint: str
    pool: str
    recipe: dict[str, Any]
    replace: bool = False
    decision: Decision | None = None
    installed: str = ""


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
            return Record(**table, decision=None if decision is None else _decision(decision))
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
                shutil.copyfile(old, new)
        target.write(record)


def _decision(table: dict[str, Any]) -> Decision:
    corrections, dev = (_comparison(table[name]) for name in ("corrections", "dev"))
    return Decision(bool(table["accepted"]), str(table["reason"]), corrections, dev, float(table["share"]))


def _comparison(table: dict[str, Any]) -> Comparison:
    chrf, bleu = ((float(table[name][0]), float(table[name][1])) for name in ("chrf", "bleu"))
    return Comparison(int(table["pairs"]), chrf, bleu, float(table["p"]))


def write_pairs(path: Path, pairs: Iterable[TextPair]) -> None:
    """Write pairs as TSV with a header. Raise CheckpointError if that fails."""
    rows = "".join(f"{to_tsv_field(source)}\t{to_tsv_field(target)}\n" for source, target in pairs)
    with raise_on_os_error(CheckpointError, "the file cannot be written", where=path, fix="free some disk space"):
        write_atomic(path, f"source\ttarget\n{rows}")


def read_pairs(path: Path) -> list[TextPair]:
    """Read what `write_pairs` has written; no pairs if the file is missing. Raise DataError for a damaged file."""
    if not path.is_file():
        return []
    corpus: Sequence[Pair] = list(BilingualFile(path, Sides(source_column="source", target_column="target")))
    return [(pair.source, pair.target) for pair in corpus]


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
