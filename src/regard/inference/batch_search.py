"""Search a batch, in smaller batches if it does not fit into memory."""

from __future__ import annotations

from collections.abc import Sequence

from regard.config.schema import SearchConfig
from regard.contract import Seq2Seq
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.shortlist import Shortlist
from regard.decoding.strategies import SearchInput, rows_per_sentence, search
from regard.errors import DecodingError
from regard.training.microbatches import is_out_of_memory


def search_batch(
    model: Seq2Seq,
    inputs: Sequence[SearchInput],
    places: Sequence[str],
    config: SearchConfig,
    *,
    top_beams: int,
    with_attention: bool,
    shortlist: Shortlist | None,
) -> list[list[Hypothesis]]:
    """Return the hypotheses of each sentence; a batch that does not fit into memory is searched in halves.

    `places` names each sentence in error messages. Raises DecodingError if a sentence alone does not fit.
    """

    def search_part(first: int, end: int) -> list[list[Hypothesis]]:
        try:
            return search(
                model,
                inputs[first:end],
                config,
                top_beams=top_beams,
                with_attention=with_attention,
                shortlist=shortlist,
            )
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        if end - first == 1:
            raise DecodingError(
                f"out of memory during search: {len(inputs[first].source):,} source tokens, "
                f"{rows_per_sentence(config, top_beams):,} hypotheses at a time",
                where=places[first],
                fix="use a smaller beam_size (or samples, lookahead_width), or divide the line",
            )
        half = (first + end) // 2
        return search_part(first, half) + search_part(half, end)

    return search_part(0, len(inputs))
