"""Validation: loss, BLEU and chrF on the dev set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest

import torch

from regard.config.schema import RunConfig
from regard.contract import Seq2Seq
from regard.data.batch import Batch, length_batches, make_batch
from regard.evaluation.metrics import are_short, bleu, chrf, exact_match, plugin_score
from regard.inference.translator import Translator
from regard.plugins.registry import find_plugin
from regard.runs.prepared import IdPair, Prepared
from regard.special_tokens import PAD
from regard.training.distributed import ProcessGroup
from regard.training.loss import negative_log_likelihood

Validator = Callable[[Seq2Seq], dict[str, float]]


def make_validator(config: RunConfig, prepared: Prepared, processes: ProcessGroup) -> Validator:
    """Return a function that scores a model on the dev set.

    The scores are the loss in nats per target token, and the quality of greedy translations made as `translate` makes
    them. Each process translates its share of the sentences, and all of them return the same scores.
    """
    sources = [source for source, _ in prepared.dev]
    references = [reference for _, reference in prepared.dev]
    language = config.data.target_language
    batches = _make_batches(prepared.dev_ids, config.train.tokens_per_batch)
    target_tokens = sum(batch.target_tokens for batch in batches)
    share = slice(processes.rank, None, processes.size)
    is_short = bool(references) and are_short(references, language)

    def validate(model: Seq2Seq) -> dict[str, float]:
        translator = Translator(model, prepared.tokenizers, config.search, target_language=language)
        hypotheses = translator.stream(sources[share], beam_size=1, shortlist=False, split_sentences=False)
        shares = processes.gather([translation.text for translation in hypotheses])
        translations = [text for row in zip_longest(*shares) for text in row if text is not None]
        (loss,) = processes.sum(_sum_loss(model, batches[share]))
        scores = {
            "loss": loss / target_tokens,
            "bleu": bleu(translations, references, target_language=language),
            "chrf": chrf(translations, references),
        }
        if config.train.metric == "exact" or is_short:
            scores["exact"] = 100 * exact_match(translations, references)
        if find_plugin("metrics", config.train.metric) is not None:
            scores[config.train.metric] = plugin_score(config.train.metric, translations, references)
        return scores

    return validate


def _make_batches(pairs: Sequence[IdPair], max_tokens: int) -> list[Batch]:
    """Return batches of pairs of similar length; each holds at most `max_tokens` tokens of padded length."""
    shortest_first = sorted(pairs, key=lambda pair: max(map(len, pair)))
    batches = length_batches(shortest_first, lambda pair: max(map(len, pair)) + 1, max_tokens=max_tokens)
    return [make_batch(batch) for batch in batches]


@torch.no_grad()
def _sum_loss(model: Seq2Seq, batches: Sequence[Batch]) -> float:
    """Return the negative log-likelihood of the target tokens, summed, in nats."""
    device = next(model.parameters()).device
    total = 0.0
    for cpu_batch in batches:
        batch = cpu_batch.to(device)
        is_token = batch.target_out.ne(PAD)  # (B, T)
        features = model.features(batch.source, batch.target_in).features[is_token]  # (tokens, F)
        total += negative_log_likelihood(model.decoder.readout, features, batch.target_out[is_token])
    return total
