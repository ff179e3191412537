"""README.md in the folder of a run: written and updated, unless a person has edited it.

A comment ends the part that regard writes. It has the SHA-256 of that part, so that an edit is noticed. What follows
the comment belongs to the user, and stays.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from regard.checkpoints.run_folder import RunFolder, resolve_checkpoint
from regard.console import Say
from regard.errors import CheckpointError, RegardError, raise_on_os_error
from regard.files import read_regular_file, write_atomic
from regard.runs.card.facts import CardFacts, collect_facts
from regard.runs.card.metadata import format_metadata
from regard.runs.card.record import CardRecord, TrainingRecord, read_record, weights_digest, write_record
from regard.runs.card.text import format_text

FILE = "README.md"
MAX_BYTES = 1 << 24
EDITED = "the model card {path} has been edited, so it stays as it is; delete or rename it for a new one"
_END = re.compile(r"^<!-- regard wrote all above .*sha256: ([0-9a-f]{64}) -->\n?", re.MULTILINE)

Outcome = Literal["written", "edited"]


@dataclass(frozen=True)
class Card:
    """The text of a model card in two parts.

    Attributes:
        generated: What regard wrote, metadata included; empty if the file has no comment of regard.
        own: What the user wrote after it.
        is_edited: Whether the part that regard wrote has changed since.
    """

    generated: str
    own: str
    is_edited: bool

    def __str__(self) -> str:
        digest = text_digest(self.generated)
        note = "Add text of yours below: it stays. If something above is edited, regard no longer updates this file."
        return f"{self.generated}\n<!-- regard wrote all above this line. {note} sha256: {digest} -->\n{self.own}"


def parse_card(text: str) -> Card:
    """Return the parts of a card that exists."""
    text = text.replace("\r\n", "\n")
    end = _END.search(text)
    if end is None:
        return Card("", text, is_edited=True)
    generated = text[: end.start()].removesuffix("\n")
    return Card(generated, text[end.end() :], is_edited=text_digest(generated) != end[1])


def format_card(facts: CardFacts, own: str = "") -> Card:
    """Return the card of a checkpoint, with what the user wrote after the former one."""
    return Card(f"{format_metadata(facts)}\n{format_text(facts)}", own, is_edited=False)


def read_card(path: Path) -> Card | None:
    """Return the card in a file; None without a file. Raise CheckpointError."""
    try:
        return parse_card(read_regular_file(path, MAX_BYTES).decode())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        fix = "rename it, or make it a readable text in UTF-8"
        raise CheckpointError(f"the model card cannot be read: {error}", where=path, fix=fix) from None


def update_card(run: Path, record: CardRecord | None = None) -> Outcome:
    """Write the model card of a run's best checkpoint, unless the present one has been edited.

    Args:
        run: The folder of the run.
        record: What becomes the record of the run; by default it stays.

    Raises:
        CheckpointError: The run cannot be read or written, or has no checkpoint.
        PluginError: The model needs a plugin that is neither loaded nor installed.
    """
    if record is not None and record != read_record(run):
        write_record(run, record)
    path = run / FILE
    card = read_card(path)
    if card is not None and card.is_edited:
        return "edited"
    text = str(format_card(collect_facts(resolve_checkpoint(run), run), card.own if card else ""))
    with raise_on_os_error(CheckpointError, "the model card cannot be written", where=path, fix="make it writable"):
        write_atomic(path, text)
    return "written"


def refresh_card(run: RunFolder, say: Say, training: TrainingRecord | None = None) -> None:
    """Update the card of a run after a command has changed the run. An error is a message: the command has succeeded.

    Args:
        run: The run.
        say: Receives a message if the card stays as it is.
        training: How the run was trained now.
    """
    if run.best is None and run.last is None:
        return
    try:
        record = None if training is None else replace(read_record(run.path), training=training)
        if update_card(run.path, record) == "edited":
            say(EDITED.format(path=run.path / FILE))
    except (RegardError, OSError, ValueError, RuntimeError, MemoryError) as error:
        reason = error.message if isinstance(error, RegardError) else str(error).partition("\n")[0]
        say(f"model card: not written ({reason})")


def best_weights(run: Path) -> str:
    """Return the digest of the weights that are evaluated now. Raise CheckpointError for a folder that is not a run."""
    if not RunFolder(run).recipe.is_file():
        fix = "give the folder of the run"
        raise CheckpointError("only a run has a model card, and this is not one", where=run, fix=fix)
    return weights_digest(resolve_checkpoint(run))


def text_digest(text: str) -> str:
    """Return the SHA-256 of a text, which does not depend on how its lines end."""
    return hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()
