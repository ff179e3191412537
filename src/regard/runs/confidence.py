"""Fit the confidence of a checkpoint on held-out pairs, and store it in the checkpoint."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from regard.checkpoints.added_files import add_json
from regard.checkpoints.checkpoint import load_config, load_metrics
from regard.checkpoints.run_folder import PREPARED, RunFolder, resolve_checkpoint
from regard.console import Say
from regard.errors import DataError, RegardError
from regard.inference.confidence import (
    FILE,
    MIN_PAIRS,
    RIGHT_CHRF,
    ConfidenceModel,
    ScoredTranslation,
    check_size,
    fit_confidence,
    load_confidence,
    score_translations,
)
from regard.inference.translator import SearchOptions, Translation, Translator
from regard.runs.prepared import TextPair

MAX_PAIRS = 1000  # that are translated; more change little
MIN_DEV_CHRF = 20.0  # with a lower one, hardly any translation is right

Watch = Callable[[Iterable[Translation], int], Iterable[Translation]]
"""Passes translations on, and shows how many of them there are already."""


@dataclass(frozen=True)
class Calibrated:
    """A fitted confidence model, the file that has it, and the number of pairs that it was fitted on."""

    model: ConfidenceModel
    path: Path
    pairs: int

    def __str__(self) -> str:
        right = "equal to the reference" if self.model.exact else f"with a chrF of at least {self.model.chrf:g}"
        share = self.model.sentence.right
        return f"confidence: fitted on {self.pairs:,} held-out pairs, {share:.0%} of their translations {right}"


def calibrate(
    folder: Path,
    pairs: Sequence[TextPair],
    *,
    chrf: float = RIGHT_CHRF,
    search: SearchOptions | None = None,
    device: str = "auto",
    watch: Watch = lambda translations, total: translations,
) -> Calibrated:
    """Fit the confidence of a run's best checkpoint, or of a checkpoint, and store it there.

    Args:
        folder: The folder of the run or of the checkpoint.
        pairs: Sources and references that the model was not trained on. Of many, MAX_PAIRS at equal distances are used.
        chrf: The least chrF of a right translation. A run with `train.metric = "exact"` counts equal ones instead.
        search: Overrides of the recipe's [search] with which the pairs are translated.
        device: The device to translate on.
        watch: Shows the progress.

    Raises:
        CheckpointError: The checkpoint cannot be read or written.
        DataError: There are too few pairs, or the fit fails.
        DecodingError: The search does not exist.
    """
    checkpoint = resolve_checkpoint(folder)
    chosen = [pairs[index * len(pairs) // MAX_PAIRS] for index in range(MAX_PAIRS)] if len(pairs) > MAX_PAIRS else pairs
    check_size(len(chosen))
    exact = load_config(checkpoint).train.metric == "exact"
    translator = Translator.load(checkpoint, device, with_confidence=False).with_search(**(search or {}))
    scored = score_pairs(translator, chosen, watch)
    references = [chosen[index][1].strip() for index in scored]
    model = fit_confidence(list(scored.values()), references, exact=exact, chrf=chrf)
    _check_readable(model)
    return Calibrated(model, add_json(checkpoint, FILE, model.to_json()), len(scored))


def _check_readable(model: ConfidenceModel) -> None:
    """Raise DataError if a confidence model could not be loaded from the file that would be written."""
    try:
        ConfidenceModel.from_json(json.loads(json.dumps(model.to_json())))
    except ValueError as error:
        raise DataError(f"no confidence can be fitted on these pairs: {error}", fix="give other pairs") from None


def calibrate_finished(
    run: RunFolder, dev: Sequence[TextPair], device: str, say: Say, *, chrf: float | None = None
) -> None:
    """Fit the confidence of a finished run's best checkpoint, unless it has one or hardly any translation is right.

    Args:
        run: The run.
        dev: Its dev set.
        device: The device to translate on.
        say: Receives the result, or why there is none: an error does not make the training fail.
        chrf: The chrF of the checkpoint on the dev set, if its metrics do not have it.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; `say` has received a message.
    """
    fix = f"try `regard calibrate {shlex.quote(str(run.path))}`"
    try:
        checkpoint = resolve_checkpoint(run.path)
        is_good = (load_metrics(checkpoint).get("chrf", 0) if chrf is None else chrf) >= MIN_DEV_CHRF
        if len(dev) >= MIN_PAIRS and is_good and load_confidence(checkpoint) is None:
            say(str(calibrate(checkpoint, dev, device=device)))
    except (RegardError, RuntimeError, MemoryError) as error:
        reason = error.message if isinstance(error, RegardError) else str(error).partition("\n")[0]
        say(f"confidence: not fitted ({reason}); {fix}")
    except KeyboardInterrupt:
        say(f"confidence: not fitted (stopped); {fix}")
        raise


def score_pairs(translator: Translator, pairs: Sequence[TextPair], watch: Watch) -> dict[int, ScoredTranslation]:
    """Translate the sources; return the scores of each translation by the index of its pair, in order.

    Sources that are blank or too long to be translated whole are left out.
    """
    sources = [source.strip() for source, _ in pairs]
    stream = translator.stream(sources, split_sentences=False, shortlist=False)
    translations = list(watch(stream, len(sources)))
    indices = [index for index, translation in enumerate(translations) if sources[index] and not translation.parts]
    target = translator.tokenizers.target
    ids = [(translator.prepare(sources[index]).encode(), translations[index]) for index in indices]
    scored = {indices[place]: item for place, item in score_translations(translator.model, target, ids)}
    return {index: scored[index] for index in indices}


def load_dev_pairs(folder: Path) -> tuple[TextPair, ...]:
    """Return the dev set of a run, which its data/ contains. Raises DataError."""
    path = RunFolder(folder).data / PREPARED
    fix = "give held-out pairs with --source and --reference, or with --data"
    try:
        pairs = json.loads(path.read_text(encoding="utf-8"))["dev"]
        return tuple((str(source), str(target)) for source, target in pairs)
    except FileNotFoundError:
        raise DataError("there is no dev set here", where=path, fix=fix) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"the file cannot be read: {error!r}", where=path, fix=fix) from None
