"""Greedy search: the most probable token at every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from regard.contract import Decoder, Memory
from regard.decoding.candidates import best_tokens, checked_limits, kept_sentences
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.penalties import LengthPenalty
from regard.decoding.tree import End, SearchTree
from regard.symbols import BOS, EOS


@torch.inference_mode()
def greedy(
    decoder: Decoder[Any],
    memory: Memory,
    max_lengths: Sequence[int] | Tensor,
    *,
    penalty: LengthPenalty,
    with_attention: bool = False,
) -> list[Hypothesis]:
    """One hypothesis for each of the memory's B sentences.

    max_lengths: for each sentence, how many decoder steps it has, the one that gives EOS among them;
    a sentence without EOS by then is returned unfinished, with that many tokens.
    Raises DecodingError for a limit below 1 and for scores that are not numbers.
    """
    limits = checked_limits(max_lengths, memory)
    tree = SearchTree()
    ends: list[list[End]] = [[] for _ in limits]
    state = decoder.init_state(memory)
    sentences = torch.arange(len(limits), device=limits.device)  # (b,) those still searched
    over = torch.zeros_like(sentences, dtype=torch.bool)  # (b,) those of them that only wait to be dropped
    tokens = torch.full_like(sentences, BOS)
    nodes = torch.full_like(sentences, -1)
    total = torch.zeros(len(limits), device=limits.device)
    step = 0
    while len(sentences):
        step += 1
        out = decoder.step(tokens, state, with_attention=with_attention)
        nodes = tree.grow(tokens, nodes, out.attention)
        values, ids = best_tokens(out.logits, 2, step)
        tokens, total = ids[:, 0], total + values[:, 0]
        done = (tokens.eq(EOS) | limits.le(step)) & ~over
        state = out.state
        if done.any():
            scores = total / penalty(torch.full_like(total, step))
            found = (part[done].tolist() for part in (sentences, nodes, tokens, total, scores))
            for sentence, *end in zip(*found, strict=True):
                ends[sentence].append(End(*end))
            over = over | done
            live = kept_sentences(over)
            if live is not None:
                sentences, limits, over, tokens, nodes, total = (
                    part.index_select(0, live) for part in (sentences, limits, over, tokens, nodes, total)
                )
                state = state.select(live, live)
    return [found[0] for found in tree.hypotheses(ends, memory.mask)]
