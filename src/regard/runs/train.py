"""A run: from a recipe to a folder of checkpoints, and on from where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import torch
from rich.console import Console

from regard.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from regard.checkpoints.run_folder import Finished, RunFolder
from regard.config.recipe import read_config, resolve_paths, to_toml
from regard.config.schema import RunConfig
from regard.contract import Seq2Seq, VocabularySizes
from regard.data.batch import Batch, make_batch
from regard.data.loader import BatchSource, Position
from regard.errors import RegardError
from regard.evaluation.metrics import bleu, chrf, exact
from regard.inference.translator import Translator
from regard.models import ARCHITECTURES, build_model
from regard.runs.plan import vocabularies
from regard.runs.preflight import checkpoint_bytes, lacks_room, told, too_little_time
from regard.runs.prepare import Prepared, Say, prepare
from regard.runs.resume import (
    find,
    how_to_extend,
    read_state,
    recipe_of,
    refuse_other_data,
    restore_recipe,
    verify_data,
)
from regard.runs.time_budget import step_times
from regard.runs.warm_start import STARTED, complete, settled
from regard.runtime import flush_denormals
from regard.special_tokens import PAD
from regard.training.distributed import ProcessGroup, init_distributed
from regard.training.freeze import freeze
from regard.training.loss import negative_log_likelihood
from regard.training.microbatches import raise_on_oom
from regard.training.precision import Precision, choose_precision
from regard.training.progress import ConsoleReporter
from regard.training.state import TrainingState
from regard.training.tensorboard import TensorBoard
from regard.training.trainer import CheckpointEvent, End, Trainer
from regard.training.training_log import BestEffort, JsonLines, Reporter

TRIED_LENGTH = 16  # tokens of the pairs with which a step is timed
PREPARING = "preparing the data: reading it, learning the vocabulary, encoding the pairs"


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

    Without `out` it is `runs/` and the architecture, with the languages where they are known. Where torchrun has
    started several processes they train it together, and a job that it starts anew goes on with its own run.
    Raises ConfigError, DataError, CheckpointError, TrainingError.
    """
    path = Path(out) if out is not None else default_folder(config)
    config = settled(resolve_paths(config))
    with flush_denormals(), init_distributed() as here, ExitStack() as held:
        console = _console(console, here)
        run = RunFolder(path)
        if here.broadcast(here.restarts > 0 and run.recipe.is_file() and run.job == here.job):
            return resume(path, console=console)

        def from_beginning(config: RunConfig) -> tuple[RunConfig, Prepared, Seq2Seq]:
            say_on(console)(PREPARING)
            prepared = prepare(config, run.data, say_on(console))
            return config, prepared, begun(config, run.data, prepared, here, say_on(console))

        def begin() -> tuple[RunConfig, Prepared, Seq2Seq]:
            device = here.device(config.train.device)
            if not here.is_main:
                return from_beginning(read_config(run.recipe, ARCHITECTURES))
            RunFolder.create(path)
            held.enter_context(run.lock(here.job))
            settled_config = with_precision(config, device, say_on(console))
            run.begin(to_toml(settled_config))
            try:
                return from_beginning(settled_config)
            except RegardError:
                run.abandon()  # so that the corrected recipe may have the folder
                raise

        begun_config, prepared, model = here.main_process_first(begin)
        return _Training(begun_config, run, prepared, model, console, here).run(None)


def resume(folder: str | Path, overrides: Sequence[str] = (), *, console: Console | None = None) -> Result:
    """Go on with a run from its last checkpoint, or from the beginning where it has none yet.

    `folder` may be one of the run's checkpoints as well: that one then is the last. Overrides (`section.key=value`)
    of what may change once a run has begun (see regard.runs.resume) are written into its recipe. Without them, on a
    CPU, the result is the same, bit for bit, as if the run had never stopped, unless the recipe ends training or
    its schedule by the clock (train.max_minutes), or there are now more processes or fewer.
    The run's data are verified first. Raises ConfigError, DataError, CheckpointError, TrainingError.
    """
    with flush_denormals(), init_distributed() as here, ExitStack() as held:
        console = _console(console, here)

        def begin() -> tuple[RunFolder, RunConfig, TrainingState | None, Prepared, Seq2Seq]:
            run, chosen = find(Path(folder))
            if here.is_main:
                held.enter_context(run.lock(here.job))
                restore_recipe(run, say_on(console))
            config = recipe_of(run, overrides)
            here.device(config.train.device)
            state = read_state(run, chosen)
            if here.is_main:
                verify_data(run, say_on(console))
            if overrides and here.is_main:
                run.write_recipe(to_toml(config))
            prepared = prepare(config, run.data, say_on(console))
            refuse_other_data(run, prepared.train)
            return run, config, state, prepared, begun(config, run.data, prepared, here, say_on(console))

        run, config, state, prepared, model = here.main_process_first(begin)
        return _Training(config, run, prepared, model, console, here).run(state)


def default_folder(config: RunConfig) -> Path:
    """runs/en-de-transformer2017, say."""
    languages = [language for language in (config.data.source_language, config.data.target_language) if language]
    tuned = [] if config.start is None else ["tuned"]
    return Path("runs") / "-".join([*languages, config.data.corpus or "", config.model.architecture, *tuned]).strip("-")


def _console(console: Console | None, here: ProcessGroup) -> Console:
    return console or Console(stderr=True) if here.is_main else Console(quiet=True)


def say_on(console: Console) -> Say:
    """What prints a line on a console as it is."""
    return lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True)


def with_precision(config: RunConfig, device: torch.device, say: Say) -> RunConfig:
    """Return the recipe with what `auto` means here, so that the run has the same wherever it is resumed.

    On a CPU whose bfloat16 products are faster, a step of the recipe is timed in both precisions: its other parts may
    take longer without the float32 kernels than the products gain.
    """
    chosen, why = choose_precision(config.train.precision, device)
    if config.train.precision == "auto":
        if chosen == "bfloat16" and device.type == "cpu":
            say("measuring a training step in float32 and bfloat16")
            both: tuple[Precision, ...] = ("bfloat16", "float32")
            short, single = step_times(config, vocabularies(config.tokenizer), TRIED_LENGTH, both, device)
            chosen = min(short, single, key=lambda timing: timing.seconds).precision
            why = f"a step in bfloat16 takes {short.seconds / single.seconds:.1f} times as long here"
        say(f"precision: {chosen}, since {why}")
    return config.model_copy(update={"train": config.train.model_copy(update={"precision": chosen})})


def begun(config: RunConfig, data: Path, prepared: Prepared, here: ProcessGroup, say: Say) -> Seq2Seq:
    """The model as training begins: with fresh weights or its start's, which is in `data`; what is to be frozen is."""
    torch.manual_seed(config.train.seed)
    tokenizers = prepared.tokenizers
    sizes = VocabularySizes(tokenizers.source.size, tokenizers.target.size, tokenizers.joint)
    with raise_on_oom("for the model", fix="lower the sizes in [model], or tokenizer.vocabulary_size"):
        model = build_model(config.model, sizes)
    if config.start is not None:
        model.load_state_dict(load_checkpoint(data / STARTED).model.state_dict())
    for sentence in freeze(model, config.train.freeze):
        say(sentence)
    return model.to(here.device(config.train.device))


@dataclass(frozen=True)
class _Training:
    """What a run is trained with; `run` does it, from the beginning or from a state."""

    config: RunConfig
    folder: RunFolder
    prepared: Prepared
    model: Seq2Seq
    console: Console
    here: ProcessGroup

    def run(self, state: TrainingState | None) -> Result:
        config, folder, here, model = self.config, self.folder, self.here, self.model
        position = Position(0, 0) if state is None else position_of(state)
        loader = self.prepared.loader(config, position, rank=here.rank, size=here.size)
        at = 0 if state is None else int(state.values["step"])
        self._tell(model, loader, None if state is None else at)
        keep = _Keep(config, folder, self.prepared)
        validate = validation(config, self.prepared, here)
        judged = 0 if state is None else int(state.values["judged"])
        with self._reporters(at, judged) as reporters:
            trainer = Trainer(
                model,
                loader,
                config.train,
                validate=validate,
                save=keep,
                reporters=reporters,
                processes=here,
                origins=self.prepared.origins,
            )
            if state is not None:
                trainer.load(state)
            _look_ahead(trainer, folder, say_on(self.console))
            if here.is_main:
                folder.mark_finished(None)
            with raise_on_oom("for training; what was saved before is whole"):
                end = trainer.run()
        if here.is_main and end != "interrupted":
            folder.mark_finished(Finished(end, trainer.progress.step, trainer.progress.seconds))
        return Result(folder.path, end, trainer.progress.step, here.broadcast(keep.scores))

    def _tell(self, model: Seq2Seq, loader: BatchSource, at: int | None) -> None:
        parameters = sum(parameter.numel() for parameter in model.parameters())
        together = f" in {self.here.size} processes ({self.config.train.parallel})" if self.here.size > 1 else ""
        say_on(self.console)(
            f"{self.config.model.architecture}: {parameters:,} parameters{together}; "
            + ("" if (batches := loader.batches_per_epoch) is None else f"{batches:,} batches an epoch; ")
            + ("from the beginning" if at is None else f"going on from step {at:,}")
        )

    @contextmanager
    def _reporters(self, at: int, judged: int) -> Iterator[list[Reporter]]:
        with ExitStack() as stack:
            reporters: list[Reporter] = []
            if self.here.is_main:
                say = say_on(self.console)
                log = JsonLines(self.folder.log, at, judged)
                if log.damaged:
                    lines = ", ".join(map(str, log.damaged))
                    say(f"{self.folder.log}: removed damaged lines, which only reports and plots read: {lines}")
                reporters = [
                    log,
                    BestEffort("tensorboard", lambda: TensorBoard(self.folder.path / "tensorboard", at), say),
                    BestEffort("the terminal", lambda: ConsoleReporter(self.console, self.config.train.metric), say),
                ]
            for reporter in reporters:
                stack.callback(reporter.close)
            yield reporters


def position_of(state: TrainingState) -> Position:
    """Where its batches go on; states of earlier versions know no pools."""
    return Position(state.values["epoch"], state.values["batch"], state.values.get("pool", 0))


def _look_ahead(trainer: Trainer, run: RunFolder, say: Say) -> None:
    """What is better known now than after a night: that the largest batch goes, and that the disk has room."""
    end = trainer.end()
    if end is not None:
        say(f"the run has come to its end; to go on all the same:  {how_to_extend(trainer.config, end, run.path)}")
        return
    say("trying the largest batches")
    tried = trainer.train_step.probe(trainer.loader.largest())
    say(told(tried))
    if trainer.progress.step == 0 and (warning := too_little_time(trainer.config, tried)):
        say(warning)
    if warning := lacks_room(run.path, checkpoint_bytes(trainer.model, trainer.config)):
        say(warning)


class _Keep:
    """Writes checkpoints, and sees that `last` and `best` lead to the right ones."""

    def __init__(self, config: RunConfig, run: RunFolder, prepared: Prepared) -> None:
        self.config, self.run, self.prepared = config, run, prepared
        self.scores: Mapping[str, float] = {}  # of the best checkpoint written here

    def __call__(self, saved: CheckpointEvent) -> None:
        self.run.require_in_place()
        folder = self.run.checkpoint(saved.step)
        contents = Checkpoint(
            self.config,
            self.prepared.tokenizers,
            saved.model,
            saved.step,
            self.prepared.train.fingerprint,
            dict(saved.scores),
            self.prepared.several_sentences,
        )
        save_checkpoint(folder, contents, saved.training)
        if saved.best:  # before `last`: a kill between the two repeats this step, and this link
            self.run.set_best(folder)
            self.scores = saved.scores
        self.run.set_last(folder)
        self.run.prune()


def validation(config: RunConfig, prepared: Prepared, here: ProcessGroup) -> Callable[[Seq2Seq], dict[str, float]]:
    """Loss on the dev set, and the quality of its greedy translation by what `translate` uses.

    Each process translates a share of it, every so manieth sentence, and all come to the same scores.
    """
    sources = [source for source, _ in prepared.dev]
    references = [reference for _, reference in prepared.dev]
    language = config.data.target_language
    batches = _dev_batches(prepared, config.train.tokens_per_batch)

    def validate(model: Seq2Seq) -> dict[str, float]:
        translator = Translator(model, prepared.tokenizers, config.search, target_language=language)
        share = translator.stream(sources[here.rank :: here.size], beam_size=1, shortlist=False, split_sentences=False)
        shares = here.gather([translation.text for translation in share])
        hypotheses = [text for row in zip_longest(*shares) for text in row if text is not None]
        (loss,) = here.sum(_loss(model, batches[here.rank :: here.size]))
        scores = {
            "loss": loss / sum(batch.target_tokens for batch in batches),
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
            batches.append(make_batch(group))
            group = []
        group.append(pair)
    return [*batches, make_batch(group)]


@torch.no_grad()
def _loss(model: Seq2Seq, batches: list[Batch]) -> float:
    """The summed negative log-probability of dev target tokens, in nats."""
    device = next(model.parameters()).device
    total = 0.0
    for cpu_batch in batches:
        batch = cpu_batch.to(device)
        real = batch.target_out.ne(PAD)
        features = model.features(batch.source, batch.target_in).features[real]
        total += negative_log_likelihood(model.decoder.readout, features, batch.target_out[real])
    return total
