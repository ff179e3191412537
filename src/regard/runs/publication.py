"""Publish a run: its best checkpoint, recipe and model card, without the training text and without names of folders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import TypeVar

from regard.checkpoints.added_files import add_json
from regard.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from regard.checkpoints.run_folder import RunFolder, resolve_checkpoint
from regard.config.data import CorpusConfig
from regard.config.recipe import to_toml
from regard.config.schema import DATA_PATHS, RunConfig
from regard.console import Say
from regard.errors import ConfigError, RegardError
from regard.inference.confidence import FILE as FITTED
from regard.inference.confidence import try_load_confidence
from regard.interop.hub import find_repository, upload
from regard.runs.card.facts import collect_facts, is_hub_dataset, start_name
from regard.runs.card.file import EDITED, FILE, Card, format_card, parse_card, read_card, text_digest, update_card
from regard.runs.card.record import CardRecord, read_record
from regard.version import __version__

AnyCorpus = TypeVar("AnyCorpus", bound=CorpusConfig)


@dataclass(frozen=True)
class PublishedModel:
    """A model on the hub: its name, its address, and whether everyone may download it."""

    name: str
    url: str
    is_public: bool


@dataclass(frozen=True)
class _Source:
    """What is published: a checkpoint, and the run that it belongs to, if there is one.

    Attributes:
        checkpoint: The folder of the checkpoint.
        run: The folder of its run.
        has_card: Whether README.md of the run describes this checkpoint.
    """

    checkpoint: Path
    run: Path | None
    has_card: bool

    @property
    def record(self) -> CardRecord:
        """The record of the run, if there is one."""
        return CardRecord() if self.run is None else read_record(self.run)

    @property
    def card(self) -> Card | None:
        """The present card of the run, or of a folder that was downloaded from the hub."""
        if self.has_card and self.run is not None:
            return read_card(self.run / FILE)
        return read_card(self.checkpoint / FILE) if self.run is None else None

    @property
    def keeps_card(self) -> bool:
        """Whether the present card is published as it is: it was edited, or comes without its run."""
        return (card := self.card) is not None and (card.is_edited or self.run is None)


def publish(
    folder: Path, name: str, say: Say, *, public: bool = False, license: str = "", replace_card: bool = False
) -> PublishedModel:
    """Publish a run's best checkpoint, or a checkpoint, on the Hugging Face hub, or update what is published there.

    Args:
        folder: The folder of the run or of the checkpoint.
        name: The name of the repository, OWNER/NAME or NAME.
        say: Receives messages.
        public: Whether everyone may download the model.
        license: The identifier of its licence, such as `apache-2.0`; empty: that of the last time, if any.
        replace_card: Replace a card that was edited on the hub.

    Raises:
        CheckpointError: The run cannot be read, or the hub does not accept it.
        ConfigError: The name or an option is not valid, or huggingface_hub is not installed.
    """
    source = _find_source(folder)
    _check_license(source, license)
    repository = find_repository(name, public=public)
    record = _new_record(source.record, repository.name, license)

    def stays_on_hub(text: str) -> bool:
        card = parse_card(text)
        is_ours = text_digest(text) == record.hub_card or not (card.is_edited or card.own.strip())
        return not is_ours and not replace_card

    with _staged(source, record, say) as staging:
        card = text_digest((staging / FILE).read_text(encoding="utf-8"))
        message = f"regard {__version__}: {_title(source)}"
        result = upload(staging, repository, message=message, stays_on_hub=stays_on_hub)
    if not result.is_changed:
        say("nothing has changed since it was published")
    if result.keeps_card:
        say("the model card on the hub was edited there, so it stays; --replace-card replaces it")
    else:
        record = replace(record, hub_card=card)
    _remember(source, record, say)
    return PublishedModel(repository.name, result.url, repository.is_public)


def dry_run(folder: Path, name: str, say: Say, *, license: str = "") -> dict[str, int]:
    """Return the names and sizes of the files that `publish` would upload. Connects to no server. Raises as it does."""
    source = _find_source(folder)
    _check_license(source, license)
    with _staged(source, _new_record(source.record, name, license), say) as staging:
        return {path.name: path.stat().st_size for path in sorted(staging.iterdir())}


def _check_license(source: _Source, license: str) -> None:
    """Raise ConfigError for something that is not an identifier, or that differs from the card that the user wrote."""
    if not license:
        return
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", license):
        fix = "give the hub's identifier, such as apache-2.0, mit, cc-by-4.0 or other"
        raise ConfigError(f"{license!r} is not an identifier of a licence", where="--license", fix=fix)
    if source.keeps_card and not re.search(_license_line(license), str(source.card), re.MULTILINE):
        raise ConfigError(
            f"{FILE} is uploaded as it is, and it does not have this licence",
            where="--license",
            fix=f"write `license: {license}` between the lines of three hyphens at its top",
        )


def _license_line(license: str) -> str:
    return rf"""^license:\s*["']?{re.escape(license)}["']?\s*$"""


def _find_source(folder: Path) -> _Source:
    checkpoint = resolve_checkpoint(folder)
    if RunFolder(folder).recipe.is_file() and not (folder / "config.json").is_file():
        return _Source(checkpoint, folder, has_card=True)
    owner = checkpoint.resolve().parent.parent
    is_in_run = checkpoint.resolve().parent.name == "checkpoints" and RunFolder(owner).recipe.is_file()
    return _Source(checkpoint, owner if is_in_run else None, has_card=False)


def _title(source: _Source) -> str:
    name = (source.run or source.checkpoint).resolve().name
    return f"{name}, {source.checkpoint.resolve().name}" if source.run else name


def _new_record(record: CardRecord, name: str, license: str) -> CardRecord:
    return replace(record, hub=name, license=license or record.license)


@contextmanager
def _staged(source: _Source, record: CardRecord, say: Say) -> Iterator[Path]:
    """Yield a folder with the files to publish."""
    checkpoint = load_checkpoint(source.checkpoint)
    config = without_folders(checkpoint.config)
    if checkpoint.config.search.shortlist:
        say("the shortlist stays here: the published recipe sets search.shortlist to false")
    with TemporaryDirectory(prefix="regard-publish-") as parent:
        folder = Path(parent) / "model"
        save_checkpoint(folder, replace(checkpoint, config=config))
        fitted, _ = try_load_confidence(source.checkpoint)
        if fitted is not None:
            add_json(folder, FITTED, fitted.to_json())
        (folder / "recipe.toml").write_text(to_toml(config), encoding="utf-8")
        card = source.card
        if card is not None and card.is_edited:
            say(f"{FILE} has been edited, so it is uploaded as it is")
        if source.keeps_card:
            text = _original(source)
        else:
            text = str(format_card(collect_facts(source.checkpoint, source.run, record), card.own if card else ""))
        (folder / FILE).write_text(text, encoding="utf-8")
        yield folder


def _original(source: _Source) -> str:
    folder = source.run if source.has_card and source.run is not None else source.checkpoint
    return (folder / FILE).read_text(encoding="utf-8")


def _remember(source: _Source, record: CardRecord, say: Say) -> None:
    """Write name and licence into the run, for its card and for the next time."""
    if source.run is None or not source.has_card:
        return
    try:
        if update_card(source.run, record) == "edited":
            say(EDITED.format(path=source.run / FILE))
    except (RegardError, OSError) as error:
        reason = error.message if isinstance(error, RegardError) else str(error)
        say(f"model card: not written ({reason})")


def without_folders(config: RunConfig) -> RunConfig:
    """Return a recipe in which files have names without folders, and which does not use a shortlist."""
    corpora = tuple(_corpus_without_folders(corpus) for corpus in config.data.corpora)
    changes: dict[str, object] = {
        "data": _corpus_without_folders(config.data).model_copy(update={"corpora": corpora}),
        "search": config.search.model_copy(update={"shortlist": False}),
    }
    if config.start is not None:
        name = start_name(config.start.checkpoint)
        changes["start"] = config.start.model_copy(update={"checkpoint": name})
    return config.model_copy(update=changes)


def _corpus_without_folders(corpus: AnyCorpus) -> AnyCorpus:
    paths = {key: value for key in DATA_PATHS if (value := getattr(corpus, key)) is not None}
    names = {key: PurePath(value).name for key, value in paths.items()}
    if corpus.dataset is not None and not is_hub_dataset(corpus.dataset):
        names["dataset"] = PurePath(corpus.dataset).name
    return corpus.model_copy(update=names)
