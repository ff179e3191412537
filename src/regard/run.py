"""A run: from a recipe to a folder of checkpoints, and on from where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from regard.checkpoint import Checkpoint, save_checkpoint
from regard.config import RunConfig, to_toml, with_absolute_paths
from regard.config import read_recipe as read_config
from regard.contract import Seq2Seq, Vocabularies
from regard.data.batch import Batch, batch_of
from regard.data.loader import Loader, Position
from regard.devices import choose_device
from regard.errors import RegardError
from regard.evaluation.quality import bleu, chrf, exact
from regard.models import ARCHITECTURES, build_model
from regard.outlook import checkpoint_bytes, lacks_room, told
from regard.prepare import Prepared, Say, prepare
from regard.resuming import find, how_to_extend, read_state, recipe_of
from regard.runfolder import Finished, RunFolder
from regard.symbols import PAD
from regard.training.console import ConsoleReporter
from regard.training.log import JsonLines, Reporter, TensorBoard
from regard.training.loss import negative_log_likelihood
from regard.training.memory import enough_memory
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
    """A TOML recipe with `section.key=value` overrides. Raises ConfigError."""
    return read_config(Path(path), ARCHITECTURES, overrides)


def train(config: RunConfig, out: str | Path | None = None, *, console: Console | None = None) -> Result:
    """Train a recipe from the beginning into the folder `out`, which must not hold a run yet.

    Without `out` it is `runs/` and the architecture, with the languages where they are known.
    Raises ConfigError, DataError, CheckpointError, TrainingError.
    """
    path = Path(out) if out is not None else default_folder(config)
    choose_device(config.train.device)
    config = with_absolute_paths(config)
    console = console or Console(stderr=True)
    run = RunFolder.create(path)
    with run.lock():
        run.begin(to_toml(config))
        try:
            prepared = prepare(config, run.data, say_on(console))
        except RegardError:
            run.abandon()  # so that the corrected recipe may have the folder
            raise
        return _train(config, run, prepared, None, console)


def resume(folder: str | Path, overrides: Sequence[str] = (), *, console: Console | None = None) -> Result:
    """Go on with a run from its last checkpoint, or from the beginning where it has none yet.

    `folder` may be one of the run's checkpoints as well: that one then is the last. Overrides (`section.key=value`)
    of what may change once a run has begun (see regard.resuming) are written into its recipe. Without them, on a
    CPU, the result is the same, bit for bit, as if the run had never stopped, unless the recipe ends training or
    its schedule by the clock (train.max_minutes). Raises ConfigError, CheckpointError, TrainingError.
    """
    run, chosen = find(Path(folder))
    console = console or Console(stderr=True)
    with run.lock():
        config = recipe_of(run, overrides)
        choose_device(config.train.device)
        state = read_state(run, chosen)
        if overrides:
            run.write_recipe(to_toml(config))
        return _train(config, run, prepare(config, run.data, say_on(console)), state, console)


def default_folder(config: RunConfig) -> Path:
    """runs/en-de-transformer2017, say."""
    languages = [language for language in (config.data.source_language, config.data.target_language) if language]
    return Path("runs") / "-".join([*languages, config.data.corpus or "", config.model.architecture]).strip("-")


def say_on(console: Console) -> Say:
    """What prints a line on a console as it is."""
    return lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True)


def build(config: RunConfig, prepared: Prepared) -> Seq2Seq:
    """The recipe's model with fresh weights, on its device."""
    tokenizers = prepared.tokenizers
    model = build_model(config.model, Vocabularies(tokenizers.source.size, tokenizers.target.size, tokenizers.joint))
    return model.to(choose_device(config.train.device))


def _train(
    config: RunConfig, run: RunFolder, prepared: Prepared, state: TrainingState | None, console: Console
) -> Result:
    torch.manual_seed(config.train.seed)
    model, say = build(config, prepared), say_on(console)
    at = 0 if state is None else int(state.values["step"])
    position = Position(0, 0) if state is None else Position(state.values["epoch"], state.values["batch"])
    loader = Loader(prepared.train, config.train.tokens_per_batch, config.train.seed, position)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    say(
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
            model, loader, config.train, validate=validation(config, prepared), save=keep, reporters=reporters
        )
        if state is not None:
            trainer.load(state)
        _look_ahead(trainer, run, say)
        run.mark_finished(None)
        with enough_memory("for training; what was saved before is whole"):
            end = trainer.run()
    if end != "interrupted":
        run.mark_finished(Finished(end, trainer.past.step, trainer.past.seconds))
    return Result(run.path, end, trainer.past.step, keep.scores)


def _look_ahead(trainer: Trainer, run: RunFolder, say: Say) -> None:
    """What is better known now than after a night: that the largest batch goes, and that the disk has room."""
    end = trainer.end()
    if end is not None:
        say(f"the run has come to its end; to go on all the same:  {how_to_extend(trainer.config, end, run.path)}")
        return
    say(told(trainer.stepper.try_out(trainer.loader.largest())))
    if warning := lacks_room(run.path, checkpoint_bytes(trainer.model, trainer.config)):
        say(warning)


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


def validation(config: RunConfig, prepared: Prepared) -> Callable[[Seq2Seq], dict[str, float]]:
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
