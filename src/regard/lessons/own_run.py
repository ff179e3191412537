"""What figures need of the reader's own run: its model as ONNX, sources, and the numbers of its attention."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regard.lessons.export import dev_sources, export_model, write_examples
from regard.lessons.models import write_json

if TYPE_CHECKING:
    from torch import Tensor

    from regard.contract import Seq2Seq
    from regard.tokenizers.base import Tokenizer, Tokenizers

SENTENCES = 4
FEW_TOKENS = range(4, 13)  # of a source whose step fits on a page
TOLERANCE = 1e-3  # of weights
WITH_SCORES = "bahdanau2014, gnmt2016 and luong2015"


def prepare_run(run: Path, folder: Path) -> None:
    """Write what figures need of a run into `folder`.

    Raises:
        CheckpointError: The run cannot be read or exported.
        ConfigError: A package that the export needs is not installed, or a tokenizer does not run in a page.
    """
    export_model(run, folder)
    write_examples(run, folder)
    write_json(folder / "scores.json", step_scores(run, dev_sources(run)))


def step_scores(run: Path, sources: Sequence[str]) -> dict[str, Any]:
    """Return what the attention of a run computes from in every step of a few sources.

    `reason` says why there is nothing if the weights of the model are not the softmax of one score per source token.
    """
    import torch

    from regard.checkpoints.checkpoint import load_checkpoint
    from regard.checkpoints.run_folder import resolve_checkpoint
    from regard.inference.translator import load
    from regard.nn.attention import AdditiveScore, DotScore, GeneralScore

    checkpoint = load_checkpoint(resolve_checkpoint(run))
    architecture, decoder = checkpoint.config.model.architecture, checkpoint.model.eval().decoder
    if not decoder.has_attention:
        return {"reason": f"{architecture} has no attention"}
    scorers = [part for part in decoder.modules() if isinstance(part, AdditiveScore | DotScore | GeneralScore)]
    if len(scorers) != 1:
        return {"reason": f"the attention of {architecture} is another one than that of {WITH_SCORES}"}
    if not sources:
        return {"reason": "the run has no dev set that can be read"}
    scorer, tokenizers = scorers[0], checkpoint.tokenizers
    sources = _few(tokenizers.source, sources)
    outputs = load(run, device="cpu").translate(sources, beam_size=1)
    pairs = [(source, output.text) for source, output in zip(sources, outputs, strict=True)]
    with torch.inference_mode():
        sentences = [_sentence(checkpoint.model, tokenizers, pair, scorer) for pair in pairs]
    if None in sentences:
        return {"reason": "its weights are not the softmax of the scores alone, as with local attention"}
    kinds = {AdditiveScore: "concat", GeneralScore: "general"}
    is_scaled = isinstance(scorer, DotScore) and scorer.scale != 1
    kind = "scaled_dot" if is_scaled else kinds.get(type(scorer), "dot")
    parameters = {"score.weight": scorer.score.weight.tolist()} if isinstance(scorer, AdditiveScore) else {}
    return {"architecture": architecture, "kind": kind, "sentences": sentences, "parameters": parameters}


def _few(tokenizer: Tokenizer, sources: Sequence[str]) -> list[str]:
    """Return a few sources, those that fit on a page first, then the shortest."""
    sizes = {source: len(tokenizer.encode(source)) + 1 for source in sources}
    return sorted(sizes, key=lambda source: 0 if sizes[source] in FEW_TOKENS else sizes[source])[:SENTENCES]


def _sentence(model: Seq2Seq, tokenizers: Tokenizers, pair: tuple[str, str], scorer: Any) -> dict[str, Any] | None:
    """Return the queries and keys of a source and its output; None if the scores do not give the model's weights."""
    import torch

    from regard.corpus.tagged import split_tags
    from regard.special_tokens import BOS, EOS

    source_ids, output_ids = (
        [*tokenizer.encode(text), EOS]
        for tokenizer, text in zip((tokenizers.source, tokenizers.target), pair, strict=True)
    )
    recorded: list[Tensor] = []
    hook = scorer.register_forward_pre_hook(lambda _, arguments: recorded.append(arguments[0].flatten(0, 1)))
    try:
        memory = model.encode(torch.tensor([source_ids]))
        attention = model.decoder(torch.tensor([[BOS, *output_ids[:-1]]]), memory, with_attention=True).attention
    finally:
        hook.remove()
    queries = torch.cat(recorded)
    weights = scorer(queries[None], scorer.project(memory.keys)).softmax(-1)
    if attention is None or weights.shape != attention.shape or (weights - attention).abs().max() > TOLERANCE:
        return None
    return {
        "text": split_tags(pair[0])[1],
        "source": tokenizers.source.pieces(source_ids),
        "output": tokenizers.target.pieces(output_ids),
        "queries": queries.tolist(),
        "keys": memory.values[0].tolist(),
        **_projections(scorer, queries, memory.keys),
    }


def _projections(scorer: Any, queries: Tensor, keys: Tensor) -> dict[str, Any]:
    """Return W q and U k of the additive score, and W k of the general one; U k includes the bias of the sum."""
    from regard.nn.attention import AdditiveScore

    projected = scorer.project(keys)[0]
    if not isinstance(scorer, AdditiveScore):
        return {"projected_keys": projected.tolist()}
    bias = 0 if scorer.query.bias is None else scorer.query.bias
    return {
        "projected_keys": (projected + bias).tolist(),
        "projected_queries": (queries @ scorer.query.weight.T).tolist(),
    }
