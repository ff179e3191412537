"""Attention maps of a sentence pair: all layers and heads, or gradients if the model has no attention.

The target is known, for example a translation. The model runs once over it with teacher forcing, which gives the same
attention as decoding it token by token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from regard.contract import Seq2Seq
from regard.data.batch import make_batch
from regard.errors import DecodingError
from regard.html.notebook import render_output_explorers
from regard.inference.translator import Translator
from regard.nn.attention_recorder import AttentionRecorder, record_attention
from regard.special_tokens import EOS
from regard.tokenizers.base import Tokenizer
from regard.tokenizers.words import unit_indices

AttentionWeights = NDArray[np.float32]
AttentionKind = Literal["source", "encoder", "decoder"]
KINDS: tuple[AttentionKind, ...] = ("source", "encoder", "decoder")


@dataclass(frozen=True)
class TokenizedText:
    """One side of a sentence pair, as tokens and as words.

    Attributes:
        tokens: The written form of each token, EOS last.
        word_of_token: The index in `words` of each token's word.
        words: The words as they are written. EOS is a word by itself.
    """

    tokens: tuple[str, ...]
    word_of_token: tuple[int, ...]
    words: tuple[str, ...]

    def membership(self) -> AttentionWeights:
        """Return (tokens, words): 1 where a token belongs to a word, 0 elsewhere."""
        matrix = np.zeros((len(self.tokens), len(self.words)), dtype=np.float32)
        matrix[np.arange(len(self.tokens)), self.word_of_token] = 1
        return matrix


@dataclass(frozen=True, repr=False)
class AttentionMaps:
    """What T target tokens attend to, EOS last.

    Attributes:
        source: The S source tokens.
        target: The T target tokens.
        mean: (T, S) attention to the source, averaged over layers and heads as the model itself does. Rows sum to 1.
            Without attention in the model: each source token's share of the gradient.
        layers: For each kind of attention that the model has, one array for each layer. `source`: (H, T, S) from target
            to source. `encoder`: (H, S, S) among source tokens. `decoder`: (H, T, T) among target tokens: row t is
            the step that writes token t, column t is the token before it, column 0 is BOS.
        is_saliency: The model has no attention, and `mean` is the saliency of the source tokens (Li et al. 2016,
            section 5): the norm of the gradient of a target token's log-probability with respect to their embeddings.
    """

    source: TokenizedText
    target: TokenizedText
    mean: AttentionWeights
    layers: dict[AttentionKind, tuple[AttentionWeights, ...]]
    is_saliency: bool

    def rows(self, kind: AttentionKind) -> TokenizedText:
        """Return the tokens that attend (queries)."""
        return self.source if kind == "encoder" else self.target

    def columns(self, kind: AttentionKind) -> TokenizedText:
        """Return the tokens that are attended to (keys)."""
        return self.source if kind != "decoder" else _shift_right(self.target)

    def weights(
        self, kind: AttentionKind = "source", layer: int | None = None, head: int | None = None
    ) -> AttentionWeights:
        """Return the weights (rows, columns) of one layer and head.

        Args:
            kind: The kind of attention.
            layer: Number of the layer, counted from 1; None for the mean over all layers.
            head: Number of the head, counted from 1; None for the mean over all heads.

        Raises:
            DecodingError: The model has no such attention, layer or head.
        """
        if kind == "source" and layer is None and head is None:
            return self.mean
        layers = self.layers.get(kind, ())
        if not layers:
            raise DecodingError(f"this model has no attention of the kind `{kind}`", fix=f"choose {self._list_kinds()}")
        if layer is not None and not 1 <= layer <= len(layers):
            raise DecodingError(f"there is no layer {layer}", fix=f"choose a layer from 1 to {len(layers)}")
        chosen = layers if layer is None else layers[layer - 1 : layer]
        heads = min(map(len, chosen))
        if head is not None and not 1 <= head <= heads:
            raise DecodingError(f"there is no head {head}", fix=f"choose a head from 1 to {heads}")
        maps = [weights.mean(0) if head is None else weights[head - 1] for weights in chosen]
        mean: AttentionWeights = np.mean(maps, axis=0, dtype=np.float32)
        return mean

    def fold_to_words(self, weights: AttentionWeights, kind: AttentionKind = "source") -> AttentionWeights:
        """Convert weights of tokens to weights of words: average the rows of a word's tokens, sum their columns."""
        rows, columns = self.rows(kind).membership(), self.columns(kind).membership()
        word_weights: AttentionWeights = (rows / rows.sum(0)).T @ weights @ columns
        return word_weights

    def word_alignment(self, weights: AttentionWeights | None = None) -> tuple[tuple[int, int], ...]:
        """Link each of `target.words` to the one of `source.words` with the highest weight, as (source, target)."""
        word_weights = self.fold_to_words(self.mean if weights is None else weights)[:-1, :-1]
        return tuple((int(row.argmax()), number) for number, row in enumerate(word_weights) if word_weights.shape[1])

    def __repr__(self) -> str:
        layers = ", ".join(f"{kind} {len(maps)} x {len(maps[0])}" for kind, maps in self.layers.items())
        sizes = f"{len(self.source.tokens)} source and {len(self.target.tokens)} target tokens"
        return f"<AttentionMaps: {sizes}; layers x heads: {layers or 'none, gradients'}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the explorer."""
        from regard.attention.explorer import to_json

        return render_output_explorers([to_json(self)])

    def _list_kinds(self) -> str:
        kinds = [kind for kind in KINDS if self.layers.get(kind)]
        return " or ".join(f"`{kind}`" for kind in kinds) or "a model with attention"


def _shift_right(text: TokenizedText) -> TokenizedText:
    """Return the decoder's input: BOS, and every token but the last."""
    words = (0, *(word + 1 for word in text.word_of_token[:-1]))
    return TokenizedText(("<s>", *text.tokens[:-1]), words, ("<s>", *text.words[:-1]))


def compute_attention_maps(translator: Translator, source: str, target: Sequence[int]) -> AttentionMaps:
    """Compute the attention maps of a sentence pair.

    As in translation, emoji and capitals that the vocabulary does not have are removed from the source.

    Args:
        translator: The model and its tokenizers.
        source: The source sentence.
        target: Token ids of the target, without EOS.

    Raises:
        DecodingError: The source has no tokens.
    """
    tokens = translator.prepare(source).encode()
    if not tokens:
        raise DecodingError("there is no source to look at", fix="give a sentence")
    model, device = translator.model, translator.device
    batch = make_batch([(tokens, list(target))]).to(device)
    with torch.inference_mode():
        with record_attention() as recorder:
            memory = model.encode(batch.source)
        encoder = recorder.self_attention
        with record_attention() as recorder:
            output = model.decoder(batch.target_in, memory, with_attention=model.decoder.has_attention)
    if output.attention is None:
        mean = _compute_saliency(model, batch.source, batch.target_in, batch.target_out)
    else:
        mean = output.attention[0, :, : len(tokens) + 1]
        recorder.source_attention = recorder.source_attention or [output.attention.unsqueeze(1)]
    return AttentionMaps(
        source=_tokenized_text(translator.tokenizers.source, tokens),
        target=_tokenized_text(translator.tokenizers.target, list(target)),
        mean=_to_array(mean),
        layers=_collect_layers(encoder, recorder),
        is_saliency=output.attention is None,
    )


def _collect_layers(
    encoder: Sequence[Tensor], decoder: AttentionRecorder
) -> dict[AttentionKind, tuple[AttentionWeights, ...]]:
    recorded: dict[AttentionKind, Sequence[Tensor]] = {
        "source": decoder.source_attention,
        "encoder": encoder,
        "decoder": decoder.self_attention,
    }
    return {kind: tuple(_to_array(weights[0]) for weights in layers) for kind, layers in recorded.items() if layers}


def _to_array(weights: Tensor) -> AttentionWeights:
    array: AttentionWeights = weights.float().cpu().numpy()
    return array


def _tokenized_text(tokenizer: Tokenizer, ids: Sequence[int]) -> TokenizedText:
    """Return the tokens and words of a text, EOS last of both."""
    word_of_token = unit_indices(tokenizer, ids)
    groups = groupby(zip(word_of_token, ids, strict=True), key=lambda pair: pair[0])
    words = []
    for _, group in groups:
        word_ids = [token for _, token in group]
        words.append(tokenizer.decode(word_ids).strip() or " ".join(tokenizer.pieces(word_ids)))
    end = tokenizer.pieces([EOS])
    return TokenizedText((*tokenizer.pieces(ids), *end), (*word_of_token, len(words)), (*words, *end))


def _compute_saliency(model: Seq2Seq, source: Tensor, target_in: Tensor, target_out: Tensor) -> Tensor:
    """Return (T, S): for each target token, how the gradient of its log-probability is distributed over the source.

    The pair is repeated T times, so that one backward pass gives the gradient of each target token separately.
    """
    length = target_in.size(1)
    embeddings: list[Tensor] = []

    def record(module: nn.Module, inputs: Any, embedded: Tensor) -> Tensor:
        embeddings.append(embedded.detach().requires_grad_())
        return embeddings[-1]

    tables = [module for module in model.encoder.modules() if isinstance(module, nn.Embedding)]
    hooks = [table.register_forward_hook(record) for table in tables]
    with torch.enable_grad(), _without_cudnn():  # whose RNNs have no backward in eval mode
        try:
            memory = model.encode(source.expand(length, -1))  # (T, S)
        finally:
            for hook in hooks:
                hook.remove()
        features = model.decoder(target_in.expand(length, -1), memory).features  # (T, T, F)
        logits = model.decoder.readout(features[torch.arange(length), torch.arange(length)])  # (T, V)
        log_probability = logits.log_softmax(-1).gather(1, target_out.T).sum()
        gradients: tuple[Tensor, ...] = torch.autograd.grad(log_probability, embeddings)  # (T, S, D) each
    norms = torch.stack([gradient.float().norm(dim=2) for gradient in gradients]).mean(0)  # (T, S)
    return norms / norms.sum(1, keepdim=True).clamp_min(1e-30)


@contextmanager
def _without_cudnn() -> Iterator[None]:
    """Compute without cuDNN. Unlike `torch.backends.cudnn.flags`, this prints no warning with PyTorch 2.9."""
    was_enabled = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = False
    try:
        yield
    finally:
        torch.backends.cudnn.enabled = was_enabled
