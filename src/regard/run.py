"""A run: from a recipe to a folder of checkpoints, and on from where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from regard.checkpoint import Checkpoint, load_checkpoint, load_training_state, save_checkpoint
from regard.config import RunConfig, to_toml, with_absolute_paths
from regard.config import read_recipe as read_config
from regard.contract import Seq2Seq, Vocabularies
from regard.data.batch import Batch, batch_of
from regard.data.loader import Loader, Position
from regard.devices import choose_device
from regard.errors import CheckpointError, RegardError
from regard.evaluation.quality import bleu, chrf, exact
from regard.models import ARCHITECTURES, build_model
from regard.prepare import Prepared, Say, prepare
from regard.runfolder import Finished, RunFolder
from regard.start import STARTED, complete, settled
from regard.symbols import PAD
from regard.training.console import ConsoleReporter
from regard.training.freeze import freeze
from regard.training.log import JsonLines, Reporter, TensorBoard
from regard.training.loss import negative_log_likelihood
from regard.training.state import TrainingState
from regard.training.trainer import End, Saved, Trainer
from regard.translator import Translator


@dataclass(frozen=True)
class Result:
    """Where a run lies, why it ended, and the best checkpoint's dev scores."""

    folder: Path
    end: End
    step: int
    scores: Mapping[str, float]


def read_recipe(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """A TOML recipe with `section.key=value` overrides; what it leaves out is that of its [start], if it has one.

    Raises ConfigError, and CheckpointError where the start cannot be read.
    """
    return read_config(Path(path), ARCHITECTURES, overrides, complete)


def train(config: RunConfig, out: str | Path | None = None, *, console: Console | None = None) -> Result:
    """Train a recipe from the beginning into the folder `out`, which must not hold a run yet.

    Without `out` it is `runs/` and the architecture, with the languages where they are known.
    Raises ConfigError, DataError, CheckpointError, TrainingError.
    """
    path = Path(out) if out is not None else default_folder(config)
    choose_device(config.train.device)
    config = settled(with_absolute_paths(config))
    console = console or Console(stderr=True)
    run = RunFolder.create(path)
    with run.lock():
        run.begin(to_toml(config))
        try:
            prepared = prepare(config, run.data, _say(console))
            model = _model(config, run, prepared, _say(console))
        except RegardError:
            run.abandon()  # so that the corrected recipe may have the folder
            raise
        return _train(config, run, prepared, model, None, console)


def resume(folder: str | Path, *, console: Console | None = None) -> Result:
    """Go on with a run from its last checkpoint, or from the beginning where it has none yet.

    On a CPU the result is the same, bit for bit, as if it had never stopped, unless the recipe
    ends training or its schedule by the clock (train.max_minutes). Raises CheckpointError.
    """
    run = RunFolder(Path(folder))
    if not run.recipe.is_file():
        raise CheckpointError("there is no run to resume: no recipe.toml", where=folder, fix="give a run's folder")
    config = read_config(run.recipe, ARCHITECTURES)  # whole: what it began from may be gone
    console = console or Console(stderr=True)
    with run.lock():
        state = None if run.last is None else load_training_state(run.last)
        prepared = prepare(config, run.data, _say(console))
        model = _model(config, run, prepared, _say(console))
        return _train(config, run, prepared, model, state, console)


def default_folder(config: RunConfig) -> Path:
    """runs/en-de-transformer2017, say."""
    languages = [language for language in (config.data.source_language, config.data.target_language) if language]
    tuned = [] if config.start is None else ["tuned"]
    return Path("runs") / "-".join([*languages, config.data.corpus or "", config.model.architecture, *tuned]).strip("-")


def _say(console: Console) -> Say:
    return lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True)


def _model(config: RunConfig, run: RunFolder, prepared: Prepared, say: Say) -> Seq2Seq:
    """As training begins: with fresh weights, or with those of its start; what is to be frozen is."""
    torch.manual_seed(config.train.seed)
    tokenizers = prepared.tokenizers
    model = build_model(config.model, Vocabularies(tokenizers.source.size, tokenizers.target.size, tokenizers.joint))
    if config.start is not None:
        model.load_state_dict(load_checkpoint(run.data / STARTED).model.state_dict())
    for sentence in freeze(model, config.train.freeze):
        say(sentence)
    return model.to(choose_device(config.train.device))


def _train(
    config: RunConfig, run: RunFolder, prepared: Prepared, model: Seq2Seq, state: TrainingState | None, console: Console
) -> Result:
    at = 0 if state is None else int(state.values["step"])
    position = Position(0, 0) if state is None else Position(state.values["epoch"], state.values["batch"])
    loader = Loader(prepared.train, config.train.tokens_per_batch, config.train.seed, position)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    _say(console)(
        f"{config.model.architecture}: {parameters:,} parameters; {loader.batches_per_epoch:,} batches an epoch; "
        + ("from the beginning" if state is None else f"going on from step {at:,}")
    )
    keep = _Keep(config, run, prepared, model)
    with ExitStack() as stack:
        reporters: list[Reporter] = [
            JsonLines(run.log, at),
            TensorBoard(run.path / "tensorboard", at),
            ConsoleReporter(console, config.train.metric),
        ]
        for reporter in reporters:
            stack.callback(reporter.close)
        trainer = Trainer(
            model, loader, config.train, validate=_validation(config, prepared), save=keep, reporters=reporters
        )
        if state is not None:
            trainer.load(state)
        run.mark_finished(None)
        end = trainer.run()
    if end != "interrupted":
        run.mark_finished(Finished(end, trainer.past.step, trainer.past.seconds))
    return Result(run.path, end, trainer.past.step, keep.scores)


class _Keep:
    """Writes checkpoints, and sees that `last` and `best` lead to the right ones."""

    def __init__(self, config: RunConfig, run: RunFolder, prepared: Prepared, model: Seq2Seq) -> None:
        self.config, self.run, self.prepared, self.model = config, run, prepared, model
        self.scores: Mapping[str, float] = {}  # of the best checkpoint written here

    def __call__(self, saved: Saved) -> None:
        folder = self.run.checkpoint(saved.step)
        contents = Checkpoint(
            self.config,
            self.prepared.tokenizers,
            self.model,
            saved.step,
            self.prepared.train.fingerprint,
            dict(saved.scores),
        )
        save_checkpoint(folder, contents, saved.training)
        if saved.best:  # before `last`: a kill between the two repeats this step, and this link
            self.run.set_best(folder)
            self.scores = saved.scores
        self.run.set_last(folder)
        self.run.prune()


def _validation(config: RunConfig, prepared: Prepared) -> Callable[[Seq2Seq], dict[str, float]]:
    """Loss on the dev set, and the quality of its greedy translation by what `translate` uses."""
    sources = [source for source, _ in prepared.dev]
    references = [reference for _, reference in prepared.dev]
    language = config.data.target_language
    batches = _dev_batches(prepared, config.train.tokens_per_batch)

    def validate(model: Seq2Seq) -> dict[str, float]:
        translator = Translator(model, prepared.tokenizers, config.search, target_language=language)
        hypotheses = [found[0].text for found in translator.stream(sources, beam_size=1, shortlist=False)]
        scores = {
            "loss": _loss(model, batches),
            "bleu": bleu(hypotheses, references, target_language=language),
            "chrf": chrf(hypotheses, references),
        }
        if config.train.metric == "exact":
            scores["exact"] = 100 * exact(hypotheses, references)
        return scores

    return validate


def _dev_batches(prepared: Prepared, tokens: int) -> list[Batch]:
    tokenizers = prepared.tokenizers
    encoded = [(tokenizers.source.encode(source), tokenizers.target.encode(target)) for source, target in prepared.dev]
    encoded.sort(key=lambda pair: max(map(len, pair)))
    batches: list[Batch] = []
    group: list[tuple[list[int], list[int]]] = []
    for pair in encoded:
        if group and (len(group) + 1) * (max(map(len, pair)) + 1) > tokens:
            batches.append(batch_of(group))
            group = []
        group.append(pair)
    return [*batches, batch_of(group)]


@torch.no_grad()
def _loss(model: Seq2Seq, batches: list[Batch]) -> float:
    """The mean negative log-probability of a dev target token, in nats."""
    device = next(model.parameters()).device
    total = 0.0
    for cpu_batch in batches:
        batch = cpu_batch.to(device)
        real = batch.target_out.ne(PAD)
        features = model.features(batch.source, batch.target_in).features[real]
        total += negative_log_likelihood(model.decoder.readout, features, batch.target_out[real])
    return total / sum(batch.target_tokens for batch in batches)
