"""Streamed training data: encode the corpora while they are read, epoch after epoch, and store nothing."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator

import numpy as np

from regard.config.schema import RunConfig
from regard.console import Say
from regard.corpus.blocks import Blocks, WeightedBlocks, sequential_blocks
from regard.corpus.corpus import Corpus, LineOrigins
from regard.data.encoding import encode_in_process
from regard.data.store_writer import CHUNK_PAIRS, Chunk
from regard.data.streaming import Stream
from regard.runs.length_filter import LengthFilter, print_skipped
from regard.runs.prepared import describe_inputs, sampling_weights
from regard.tokenizers.base import Tokenizers


def open_stream(config: RunConfig, corpus: Corpus, origins: LineOrigins, tokenizers: Tokenizers, say: Say) -> Stream:
    """Return a stream of encoded pairs.

    When the stream has been read from the start of an epoch to its end for the first time, it prints what was skipped.

    Args:
        config: The recipe.
        corpus: The training corpus.
        origins: Where the lines of the corpus come from, with the size of each part.
        tokenizers: The tokenizers of both sides.
        say: Prints a line.
    """
    blocks = _weighted_blocks(config, corpus, origins) if corpus.parts else sequential_blocks(corpus, CHUNK_PAIRS)
    is_reported = False

    def read(epoch: int, first_block: int) -> Iterator[Chunk]:
        nonlocal is_reported
        length_filter = LengthFilter(corpus, config.data.max_length)
        for block in blocks(epoch, first_block):
            chunk = encode_in_process(block.pairs, tokenizers)
            yield length_filter.filter(chunk, origins, new=block.new)
        if not first_block and not is_reported:
            is_reported = True
            reports = (length_filter.report,) if corpus.parts else (corpus.skipped, length_filter.report)
            print_skipped("train", reports, say)

    return Stream(read, hashlib.sha256(describe_inputs(config).encode()).hexdigest())


def _weighted_blocks(config: RunConfig, corpus: Corpus, origins: LineOrigins) -> Blocks:
    weights = sampling_weights(config.data, np.array(origins.sizes))
    return WeightedBlocks(corpus.parts, origins, weights, CHUNK_PAIRS, config.train.seed).blocks


def count_parts(corpus: Corpus, say: Say) -> LineOrigins:
    """Return the origins of a corpus that is to be streamed, with the sizes of its parts.

    A concatenation is read to its end for that, unless it has been read already.
    """
    if not corpus.parts:
        return corpus.origins
    if len(corpus.origins.sizes) < len(corpus.parts):
        deque(corpus, maxlen=0)
    sizes = zip(corpus.origins.names, corpus.origins.sizes, strict=True)
    say("train: " + ", ".join(f"{size:,} pairs from {name}" for name, size in sizes))
    print_skipped("train", (corpus.skipped,), say)
    return corpus.origins
