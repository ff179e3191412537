"""Terms and word forms that are learned from the training pairs of a run, in its `data` folder.

terms.npy           (terms, 4) the spans of terms, uint16
terms.offsets.npy   (pairs + 1,) where the terms of each pair begin
word_forms.json     the forms of words on both sides, and the fingerprint of the pairs; written last
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.data.store import PairStore
from regard.errors import DataError, raise_on_os_error
from regard.files import read_regular_file, write_atomic
from regard.terms.alignment import align, forms_of
from regard.terms.spans import TermSpans, find_spans
from regard.terms.word_forms import WordForms
from regard.tokenizers.base import Tokenizers

FORMS = "word_forms.json"
SPANS, OFFSETS = "terms.npy", "terms.offsets.npy"
MAX_BYTES = 1 << 26  # of word_forms.json
FIX = "delete the file: it is made again from the training data"

Say = Callable[[str], None]


@dataclass(frozen=True)
class BothForms:
    """The forms of the words of both sides."""

    source: WordForms = field(default_factory=WordForms)
    target: WordForms = field(default_factory=WordForms)


@dataclass(frozen=True)
class LearnedTerms:
    """What training with terms needs: the terms of the training pairs, and the forms of words."""

    spans: TermSpans
    forms: BothForms


def learn_terms(folder: Path, store: PairStore, tokenizers: Tokenizers, say: Say) -> LearnedTerms:
    """Return the terms of a store, and learn and save them if they are not in the folder yet.

    The same store and tokenizers give the same terms. Raises DataError if they cannot be read or written.
    """
    forms = load_forms(folder, store.fingerprint)
    if forms is not None and (folder / SPANS).is_file() and (folder / OFFSETS).is_file():
        return LearnedTerms(_load_spans(folder, len(store)), forms)
    say("terms: aligning the words of the training pairs")
    alignment = align(store, tokenizers)
    spans, forms = find_spans(alignment), BothForms(*forms_of(alignment))
    with raise_on_os_error(DataError, "the terms cannot be written", where=folder, fix="free some disk space"):
        write_atomic(folder / SPANS, _npy(spans.table))
        write_atomic(folder / OFFSETS, _npy(spans.offsets))
        save_forms(folder, forms, store.fingerprint)
    say(
        f"terms: {len(spans.table):,} in {np.count_nonzero(np.diff(spans.offsets)):,} of {len(store):,} pairs; "
        f"forms of {len(forms.source.families):,} source and {len(forms.target.families):,} target words"
    )
    return LearnedTerms(spans, forms)


def learn_forms(folder: Path, store: PairStore, tokenizers: Tokenizers) -> BothForms:
    """Learn the forms of words from a store, and save them in the folder if it can be written to."""
    forms = BothForms(*forms_of(align(store, tokenizers)))
    with suppress(OSError):
        save_forms(folder, forms, store.fingerprint)
    return forms


def _npy(array: NDArray[Any]) -> bytes:
    buffer = BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _load_spans(folder: Path, pairs: int) -> TermSpans:
    try:
        table = np.load(folder / SPANS, mmap_mode="r", allow_pickle=False)
        offsets = np.load(folder / OFFSETS, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"the terms cannot be read: {error}", where=folder / SPANS, fix=FIX) from None
    is_valid = table.dtype == np.uint16 and table.ndim == 2 and table.shape[1] == 4 and offsets.shape == (pairs + 1,)
    if not is_valid or offsets[-1] != len(table):
        raise DataError("these are not the terms of the training pairs", where=folder / SPANS, fix=FIX)
    return TermSpans(table, offsets)


def save_forms(folder: Path, forms: BothForms, fingerprint: str) -> None:
    """Write the forms of words. Raises OSError."""
    table = {"data": fingerprint, "source": _to_json(forms.source), "target": _to_json(forms.target)}
    write_atomic(folder / FORMS, json.dumps(table, ensure_ascii=False))


def _to_json(forms: WordForms) -> dict[str, Any]:
    return {"families": [" ".join(family) for family in forms.families], "endings": sorted(forms.endings)}


def load_forms(folder: Path, fingerprint: str | None = None) -> BothForms | None:
    """Return the forms of words in a `data` folder; None if there are none, or those of other pairs.

    Raises DataError if the file is damaged.
    """
    path = folder / FORMS
    if not path.exists():
        return None
    try:
        table = json.loads(read_regular_file(path, MAX_BYTES).decode())
        forms = BothForms(_from_json(table["source"]), _from_json(table["target"]))
        data = str(table["data"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"the forms of words cannot be read: {error!r}", where=path, fix=FIX) from None
    return forms if fingerprint in (None, data) else None


def _from_json(table: Any) -> WordForms:
    families = tuple(tuple(family.split()) for family in table["families"])
    return WordForms(families, frozenset((str(first), str(second)) for first, second in table["endings"]))
