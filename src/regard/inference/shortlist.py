"""The shortlist of a run: made from its training data and stored in its folder.

shortlist.safetensors has the tensors `candidates` (source V, K) and `frequent` (F,), int32, and the fingerprint of the
training data in its metadata.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from regard.checkpoints.checkpoint import Checkpoint, load_config
from regard.checkpoints.run_folder import RunFolder
from regard.corpus.ibm_model1 import NULL, Sentences, concatenate, ibm_model_1
from regard.data.store import PairStore, verify_store
from regard.decoding.shortlist import Shortlist
from regard.errors import CheckpointError, DataError
from regard.files import check_writable, open_atomic, remove_leftovers
from regard.special_tokens import PAD
from regard.tokenizers.base import Tokenizer, Tokenizers

MAX_CELLS = 1 << 26  # pairs of a source and a target token to learn from: about 300,000 sentences

FILE = "shortlist.safetensors"

Table = NDArray[np.int32]


def make_shortlist(folder: Path, candidates: int, frequent: int, say: Callable[[str], None]) -> Path:
    """Learn a run's shortlist from its training data and write it into its folder. Return its path.

    Args:
        folder: The folder of the run.
        candidates: The most target tokens for each source token. A target token that is written like the source token
            is always one of them, so that names and numbers can be copied.
        frequent: How many of the most frequent target tokens are always allowed.
        say: Receives messages about the progress.

    Raises:
        DataError: If there is no training data.
        CheckpointError: If the shortlist cannot be written.
        PluginError: If the run's tokenizer or model needs a plugin that is neither loaded nor installed.
    """
    run = RunFolder(folder)
    data = run.data
    if not (data / "train.json").is_file():
        raise DataError(
            "there is no training data to learn a shortlist from",
            where=data,
            fix="give the folder of a run that was trained here, with its data/",
        )
    _check_writable(folder / FILE)
    if run.last is not None:
        load_config(run.last)  # raises the error that names a missing plugin
    store, tokenizers = PairStore.open(data, "train"), Tokenizers.load(data)
    sources, targets = tokenizers.source.size, tokenizers.target.size
    verify_store(data, "train", (sources, targets))
    sentences = sentences_of(store)
    table = ibm_model_1(sentences, targets, say=say).most_probable(sources, candidates)
    counts = np.bincount(sentences.target, minlength=targets)
    by_count = np.argsort(-counts, kind="stable")[:frequent]
    shortlist = Shortlist(
        torch.from_numpy(_with_copies(table, tokenizers)),
        torch.from_numpy(by_count[counts[by_count] > 0].astype(np.int32)),
    )
    return _save(shortlist, folder / FILE, store.fingerprint)


def _with_copies(table: Table, tokenizers: Tokenizers) -> Table:
    """Add to each source token of the table (source V, K) the target token that is written like it, if there is one.

    If the row is full, it replaces the last candidate.
    """
    pieces = _pieces(tokenizers.target)
    ids = {piece: id for id, piece in reversed(list(enumerate(pieces)))}  # the first of equal ones, of another column
    copies = np.array([ids.get(piece, PAD) for piece in _pieces(tokenizers.source)], dtype=np.int32)
    missing = ((table != copies[:, None]).all(1) & (copies != PAD)).nonzero()[0]
    last = np.minimum((table != PAD).sum(1), table.shape[1] - 1)
    table[missing, last[missing]] = copies[missing]
    return table


def _pieces(tokenizer: Tokenizer) -> list[str]:
    return tokenizer.pieces(range(tokenizer.size))


def _save(shortlist: Shortlist, path: Path, fingerprint: str) -> Path:
    tensors = {"candidates": shortlist.candidates, "frequent": shortlist.frequent}
    with _write_errors(path), open_atomic(path) as file:
        file.write(save(tensors, metadata={"data": fingerprint}))
    return path


def _check_writable(path: Path) -> None:
    """Raise CheckpointError if the shortlist could not be written, before it is computed."""
    with _write_errors(path):
        remove_leftovers(path)
        check_writable(path)


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CheckpointError(
            f"it cannot be written: {error.strerror}", where=path, fix="see that the folder can be written to"
        ) from None


def load_shortlist(folder: Path, checkpoint: Checkpoint) -> Shortlist | None:
    """Return the shortlist in a run's folder; None if there is none.

    Raises CheckpointError if it is damaged, or was made from other data than the run's checkpoint.
    """
    path = folder / FILE
    if not path.exists():
        return None
    if not path.is_file():
        raise _unusable(folder, "it is not a regular file")
    try:
        with safe_open(path, framework="pt") as file:
            made_of = (file.metadata() or {}).get("data")
            candidates, frequent = file.get_tensor("candidates"), file.get_tensor("frequent")
    except (OSError, SafetensorError) as error:
        raise _unusable(folder, f"it cannot be read: {error}") from None
    if made_of != checkpoint.data:
        raise _unusable(folder, "it was made of other training data than the run's")
    sources, targets = checkpoint.tokenizers.source.size, checkpoint.tokenizers.target.size
    shaped = candidates.dim() == 2 and len(candidates) == sources and frequent.dim() == 1
    if not (shaped and _are_ids(candidates, targets) and _are_ids(frequent, targets)):
        raise _unusable(folder, "its tokens are not those of the run")
    return Shortlist(candidates, frequent)


def _are_ids(tokens: Tensor, vocabulary: int) -> bool:
    return tokens.dtype == torch.int32 and bool(((tokens >= 0) & (tokens < vocabulary)).all())


def _unusable(folder: Path, reason: str) -> CheckpointError:
    return CheckpointError(reason, where=folder / FILE, fix=f"make it again: regard shortlist {folder}")


def sentences_of(store: PairStore, max_cells: int = MAX_CELLS) -> Sentences:
    """Return all pairs of a store; or every second, third, ..., if all of them have more than `max_cells` cells."""
    cells = int(((store.source_lengths.astype(np.int64) + 1) * store.target_lengths).sum())
    chosen = range(0, len(store), max(1, -(-cells // max_cells)))
    null = np.array([NULL])
    source, source_offsets = concatenate([part for index in chosen for part in (null, store.source(index))], 2)
    return Sentences(source, source_offsets, *concatenate([store.target(index) for index in chosen], 1))
