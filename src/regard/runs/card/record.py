"""card.json in the folder of a run: what its model card says that no other file of the run has."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from regard.checkpoints.untrusted_files import SUMS, compute_sum, read_sums
from regard.errors import CheckpointError, raise_on_os_error
from regard.files import read_regular_file, write_atomic
from regard.version import __version__

FILE = "card.json"
FORMAT = 1
MAX_BYTES = 1 << 20
MAX_EVALUATIONS = 50
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class TrainingRecord:
    """How and on what a run was trained.

    Attributes:
        end: Why training ended, as `Finished.end`, or `interrupted`.
        step: The number of training steps.
        seconds: The training time.
        device: The name of the processor or of the GPU; empty if it is not known.
        processes: The number of processes that trained together.
        versions: The versions of regard, Python and the libraries, by name.
    """

    end: str
    step: int
    seconds: float
    device: str = ""
    processes: int = 1
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """The scores of a checkpoint on a test set.

    Attributes:
        weights: The SHA-256 of the weights that were evaluated; the card shows only those of its weights.
        data: The names of the files of the test set.
        pairs: The number of pairs.
        search: The search, such as `beam search, beam size 5`.
        scores: The scores by name.
        signatures: sacreBLEU's signatures of those that have one.
    """

    weights: str
    data: tuple[str, ...]
    pairs: int
    search: str
    scores: Mapping[str, float]
    signatures: Mapping[str, str]


@dataclass(frozen=True)
class CardRecord:
    """The contents of card.json.

    Attributes:
        training: How the run was trained; None if it was trained before there were model cards.
        evaluations: Test scores, the latest last.
        license: The licence that the user gave the model; empty if none.
        hub: The repository `OWNER/NAME` on the hub that the run was published to; empty if none.
        hub_card: The SHA-256 of the card that was uploaded last; another one on the hub was edited there.
    """

    training: TrainingRecord | None = None
    evaluations: tuple[Evaluation, ...] = ()
    license: str = ""
    hub: str = ""
    hub_card: str = ""

    def with_evaluation(self, evaluation: Evaluation) -> Self:
        """Return the record with another evaluation, which replaces one of the same weights and test set."""
        key = evaluation.weights, evaluation.data
        kept_evaluations = [known for known in self.evaluations if (known.weights, known.data) != key]
        return replace(self, evaluations=(*kept_evaluations, evaluation)[-MAX_EVALUATIONS:])


def read_record(run: Path) -> CardRecord:
    """Return the record of a run; an empty one if it has none. Raise CheckpointError if the file is damaged."""
    path = run / FILE
    try:
        table: dict[str, Any] = json.loads(read_regular_file(path, MAX_BYTES).decode())
        if table["format"] != FORMAT:
            raise ValueError(f"it has format {table['format']!r}, not {FORMAT}")
        training = table.get("training")
        return CardRecord(
            None if training is None else TrainingRecord(**training),
            tuple(Evaluation(**{**entry, "data": tuple(entry["data"])}) for entry in table.get("evaluations", ())),
            str(table.get("license", "")),
            str(table.get("hub", "")),
            str(table.get("hub_card", "")),
        )
    except FileNotFoundError:
        return CardRecord()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        fix = "delete it; the model card then lacks device, versions and test scores"
        raise CheckpointError(f"the file cannot be read: {error}", where=path, fix=fix) from None


def write_record(run: Path, record: CardRecord) -> None:
    """Write the record of a run. Raise CheckpointError."""
    path = run / FILE
    with raise_on_os_error(CheckpointError, "it cannot be written", where=path, fix="make the folder writable"):
        write_atomic(path, json.dumps({"format": FORMAT, **asdict(record)}, indent=1, ensure_ascii=False) + "\n")


def weights_digest(checkpoint: Path) -> str:
    """Return the SHA-256 of the weights of a checkpoint. Raise CheckpointError."""
    with raise_on_os_error(CheckpointError, "the weights cannot be read", where=checkpoint, fix="restore the file"):
        sums = read_sums(checkpoint / SUMS) if (checkpoint / SUMS).is_file() else {}
        return sums.get(WEIGHTS) or compute_sum(checkpoint / WEIGHTS)


def current_versions() -> dict[str, str]:
    """Return the versions of regard, Python and the libraries that results depend on."""
    import sacrebleu
    import sentencepiece
    import torch

    return {
        "regard": __version__,
        "Python": platform.python_version(),
        "PyTorch": str(torch.__version__),
        "sentencepiece": str(sentencepiece.__version__),
        "sacreBLEU": str(sacrebleu.__version__),
    }
