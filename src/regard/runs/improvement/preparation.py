"""Prepare an improvement: check the corrections, mix them with old pairs, and write both into the new run."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from itertools import count, takewhile
from pathlib import Path

from regard.checkpoints.run_folder import RunFolder
from regard.config.overrides import to_overrides
from regard.config.recipe import to_portable_table
from regard.console import Say
from regard.corpus.corpus import Corpus
from regard.corpus.corrections import SUFFIX, CorrectionStore
from regard.corpus.formats.compressed import format_suffix
from regard.corpus.formats.sides import Sides
from regard.corpus.paths import CorpusPaths, infer_sides
from regard.corpus.tagged import add_tags, split_tags
from regard.errors import CheckpointError, ConfigError, DataError, RegardError, raise_on_os_error
from regard.files import write_atomic
from regard.runs.improvement import replacement
from regard.runs.improvement.corrections import (
    CheckedCorrections,
    NothingToDoError,
    SourceSet,
    Split,
    check_corrections,
    split_corrections,
)
from regard.runs.improvement.old_pairs import OldRun, run_folder
from regard.runs.improvement.options import ImprovementOptions
from regard.runs.improvement.recipe import Mixture, make_recipe
from regard.runs.improvement.record import Decision, Record, RecordFolder, TextPair, made_by, read_pairs, write_pairs
from regard.runs.improvement.tag_sets import TagSet, choose_tag_sets
from regard.tokenizers.base import Tokenizers


def begin(run: Path, corrections: Path, folder: Path, options: ImprovementOptions, say: Say) -> None:
    """Check the corrections, and write everything that training and evaluation need into the folder of the new run."""
    record_folder = made_by(folder)
    if record_folder.exists:
        raise CheckpointError(
            "the folder already contains an improvement",
            where=folder,
            fix=f"continue it with `regard improve --resume {shlex.quote(str(folder))}`, or choose another folder",
        )
    old = OldRun.load(run)
    if old.config.tokenizer.source_columns:
        fix = "train on the corrections with `regard train --from`"
        raise ConfigError("a run whose sources have several columns cannot be improved", where=run, fix=fix)
    if options.replace:
        with run_folder(old).lock():  # report now, and not after training, that it cannot be written to
            replacement.check_best(run_folder(old), old.checkpoint)
    if options.old_data is not None:
        old = replace(old, provided=tuple(_read_provided(Path(options.old_data), old, options)))
    if format_suffix(corrections) == SUFFIX and next(CorrectionStore(corrections).read(), None) is None:
        raise NothingToDoError("there are no corrections yet", where=corrections, fix="collect some")
    dev = old.dev()
    checked = _check(_open(corrections, old, options.sides, options.tags, "--corrections"), dev)
    for sentence in checked.sentences:
        say(f"corrections: {sentence}")
    split = split_corrections(checked.pairs, [*old.corrections, *old.held_out], corrections.name)
    mixture = _mix(old, split, dev, options)
    for sentence in _describe(old, checked, split, mixture, options, corrections.name):
        say(sentence)
    recipe = make_recipe(
        old,
        record_folder,
        mixture,
        Tokenizers.load(old.checkpoint),
        epochs=options.epochs,
        old_pairs=options.old_pairs,
        overrides=to_overrides(options.overrides),
    )
    record = Record(
        run=str(old.folder),
        checkpoint=str(old.checkpoint),
        pool=str(old.pool.resolve()),
        recipe=to_portable_table(recipe),
        replace=options.replace,
        tags=tuple(mixture.tags),
    )
    _refuse_repetition(old, record, split, folder)
    RunFolder.create(folder)
    _write(record_folder, record, mixture, split.held_out, checked.dropped)


def outputs(run: Path) -> Iterator[Path]:
    """Yield the default folders of improvements of a run: RUN-improved-1, RUN-improved-2 and so on."""
    return (run.resolve().with_name(f"{run.resolve().name}-improved-{number}") for number in count(1))


def _refuse_repetition(old: OldRun, record: Record, split: Split, folder: Path) -> None:
    """Raise NothingToDoError if the same improvement ended before, and its folder has a default name as `folder` has.

    A command that is repeated every night would otherwise repeat what was rejected or undone.
    """
    for earlier in takewhile(lambda path: path != folder.resolve(), outputs(old.folder)):
        if not earlier.exists():
            return  # `folder` has another name
        decision = _decision_of_same(earlier, record, split)
        if decision is not None:
            verdict = "accepted" if decision.accepted else "rejected"
            raise NothingToDoError(
                f"nothing is new: the same improvement was {verdict} before, see {earlier}",
                where=old.folder,
                fix="collect more corrections, or give another output folder to repeat it",
            )


def _decision_of_same(folder: Path, record: Record, split: Split) -> Decision | None:
    """Return the decision in a folder if it is about the same improvement."""
    files = made_by(folder)
    with suppress(RegardError):
        before = files.read()
        pairs = read_pairs(files.corrections, before.tags), read_pairs(files.held_out, before.tags)
        if _inputs(before) == _inputs(record) and pairs == (list(split.train), list(split.held_out)):
            return before.decision
    return None


def _inputs(record: Record) -> str:
    """Return what determines an improvement, except its corrections, as JSON."""
    recipe = {name: section for name, section in record.recipe.items() if name != "data"}
    return json.dumps([record.run, record.checkpoint, record.replace, recipe], sort_keys=True)


def _write(
    folder: RecordFolder, record: Record, mixture: Mixture, held_out: Sequence[TextPair], dropped: Sequence[str]
) -> None:
    """Write all pairs and then the record. Raise CheckpointError if that fails."""
    problem, fix = "the improvement cannot be written", "free some disk space"
    with raise_on_os_error(CheckpointError, problem, where=folder.path, fix=fix):
        folder.path.mkdir(exist_ok=True)
        write_atomic(folder.dropped, "".join(f"{line}\n" for line in dropped))
    write_pairs(folder.corrections, mixture.corrections, mixture.tags)
    write_pairs(folder.held_out, held_out, mixture.tags)
    write_pairs(folder.old_pairs, mixture.old_pairs, mixture.tags)
    write_pairs(folder.old_dev, mixture.dev, mixture.tags)
    folder.write(record)


def _open(file: Path, old: OldRun, requested: Sides, tags: Sequence[str], label: str) -> list[tuple[TagSet, Corpus]]:
    """Open a file with both sides, once for each set of tags that its pairs may have, in the languages of these."""
    corpora: list[tuple[TagSet, Corpus]] = []
    inferred = infer_sides(old.config.data, file, requested)
    for known in choose_tag_sets(old.tag_sets, file, requested, tags):
        sides = replace(
            inferred,
            source_language=known.source_language or inferred.source_language,
            target_language=known.target_language or inferred.target_language,
        )
        corpus = CorpusPaths(data=file, labels=("", "", label)).open(sides)
        assert corpus is not None  # a file is given
        corpora.append((known, corpus))
    return corpora


def _read_provided(file: Path, old: OldRun, options: ImprovementOptions) -> Iterator[TextPair]:
    """Yield the pairs of --old-data, with their tags. Raise DataError if there are none."""
    languages = Sides(options.sides.source_language, options.sides.target_language)
    requested = languages if len(old.tag_sets) > 1 else Sides()
    corpora = _open(file, old, requested, options.tags, "--old-data")
    for known, corpus in corpora:
        with suppress(DataError) if len(corpora) > 1 else nullcontext():  # it has no pair in these languages
            yield from ((add_tags(pair.source, known.tags), pair.target) for pair in corpus)


def _check(corpora: Sequence[tuple[TagSet, Corpus]], dev: Sequence[TextPair]) -> CheckedCorrections:
    """Check the corrections of each set of tags. Raise DataError if none has text on both sides."""
    checked = CheckedCorrections()
    errors = []
    for known, corpus in corpora:
        texts = [(split_tags(source), target) for source, target in dev]
        own = [(text, target) for (tags, text), target in texts if tuple(tags) == known.tags]
        try:
            part = check_corrections(corpus, own, (known.source_language, known.target_language))
        except DataError as error:
            errors.append(error)
            continue
        prefix = f"{known}: " if len(corpora) > 1 else ""
        checked.pairs |= {add_tags(source, known.tags): target for source, target in part.pairs.items()}
        checked.sentences += [prefix + sentence for sentence in part.sentences]
        checked.dropped += part.dropped
    if len(errors) == len(corpora):
        raise errors[0]
    return checked


def _mix(old: OldRun, split: Split, dev: Sequence[TextPair], options: ImprovementOptions) -> Mixture:
    """Return the corrections with old pairs, at least one of each set of tags that no correction has."""
    known = SourceSet([source for source, _ in (*split.train, *split.held_out)])
    tags = [known_set.tags for known_set in old.tag_sets]
    without = [] if tags == [()] else set(tags) - {tuple(split_tags(source)[0]) for source, _ in split.train}
    size = round(options.old_pairs * options.epochs * len(split.train))
    sample = old.sample(size, old.config.train.seed, known.__contains__, without)
    present = (tuple(split_tags(source)[0]) for source, _ in (*split.train, *split.held_out, *sample, *dev))
    return Mixture(split.train, sample, dev, tuple(dict.fromkeys([*tags, *present])))


def _describe(
    old: OldRun, checked: CheckedCorrections, split: Split, mixture: Mixture, options: ImprovementOptions, name: str
) -> Iterator[str]:
    """Yield sentences on the corrections and the old pairs."""
    yield f"corrections: {len(checked.pairs):,} of {name}, {split.new:,} of them new"
    earlier = len(split.train) + len(split.held_out) - len(checked.pairs)
    if earlier > 0:
        yield f"corrections: {earlier:,} more from earlier improvements"
    if len(old.tag_sets) > 1:
        counts = Counter(tuple(split_tags(source)[0]) for source, _ in (*split.train, *split.held_out))
        yield "corrections: " + ", ".join(f"{number:,} with {TagSet(tags)}" for tags, number in counts.items())
    yield f"corrections: {len(split.train):,} to train on, {len(split.held_out):,} held out"
    origin = f"those that {old.pool.name} was trained on" if options.old_data is None else str(options.old_data)
    yield f"old pairs: {len(mixture.old_pairs):,} of {origin}"
