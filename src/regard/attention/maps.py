"""What a model looks at while it writes a target: every layer and head of it, and gradients where it does not attend.

The target is known beforehand, a translation or what anyone would have it say, and is gone over once under teacher
forcing; that is what search sees token by token.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from regard.inference.translator import Translator
from regard.nn.attention_recorder import AttentionRecorder, record_attention
from regard.special_tokens import EOS
from regard.text.emoji import remove_unknown_emoji
from regard.tokenizers.base import Tokenizer
from regard.tokenizers.words import unit_indices

Weights = NDArray[np.float32]
Kind = Literal["source", "encoder", "decoder"]
KINDS: tuple[Kind, ...] = ("source", "encoder", "decoder")


@dataclass(frozen=True)
class Side:
    """One side of a pair as the model has it, and as a reader does.

    tokens: their written forms, EOS the last.
    unit: for each token the word that it belongs to, counted from 0.
    words: as they are written; EOS is one of its own.
    """

    tokens: tuple[str, ...]
    unit: tuple[int, ...]
    words: tuple[str, ...]

    def sums(self) -> Weights:
        """(tokens, words): 1 where a token is of a word."""
        found = np.zeros((len(self.tokens), len(self.words)), dtype=np.float32)
        found[np.arange(len(self.tokens)), self.unit] = 1
        return found


@dataclass(frozen=True)
class Looks:
    """What T target tokens look at, EOS the last of them.

    mean: (T, S) to the S source tokens; rows sum to 1. What the model itself makes of its layers and heads, or, if it
        does not attend, each token's share of the gradient.
    layers: of each kind that the model has, (H, T, S) a layer. source: from target to source. encoder: (H, S, S)
        among source tokens. decoder: (H, T, T) among target tokens: row t is what is looked at while token t is
        written, column t the token before it, column 0 the beginning.
    gradient: it does not attend, and `mean` is the saliency of its sources (Li et al. 2016, section 5): the length of
        the gradient of a token's log-probability with respect to a source token's embedding.
    """

    source: Side
    target: Side
    mean: Weights
    layers: dict[Kind, tuple[Weights, ...]]
    gradient: bool

    def rows(self, kind: Kind) -> Side:
        """Whose tokens look."""
        return self.source if kind == "encoder" else self.target

    def columns(self, kind: Kind) -> Side:
        """Whose tokens are looked at."""
        return self.source if kind != "decoder" else _before(self.target)

    def weights(self, kind: Kind = "source", layer: int | None = None, head: int | None = None) -> Weights:
        """(rows, columns) of a layer and a head, counted from 1; None: the mean of all. Raises DecodingError."""
        if kind == "source" and layer is None and head is None:
            return self.mean
        layers = self.layers.get(kind, ())
        if not layers:
            raise DecodingError(f"this model has no attention of the kind `{kind}`", fix=f"it has {self._told()}")
        if layer is not None and not 1 <= layer <= len(layers):
            raise DecodingError(f"there is no layer {layer}", fix=f"there are 1 to {len(layers)}")
        chosen = layers if layer is None else layers[layer - 1 : layer]
        fewest = min(map(len, chosen))
        if head is not None and not 1 <= head <= fewest:
            raise DecodingError(f"there is no head {head}", fix=f"there are 1 to {fewest}")
        each = [one.mean(0) if head is None else one[head - 1] for one in chosen]
        mean: Weights = np.mean(each, axis=0, dtype=np.float32)
        return mean

    def folded(self, weights: Weights, kind: Kind = "source") -> Weights:
        """From tokens to words: a word looks as its tokens do in the mean, and gets what its tokens get together."""
        rows, columns = self.rows(kind).sums(), self.columns(kind).sums()
        folded: Weights = (rows / rows.sum(0)).T @ weights @ columns
        return folded

    def alignment(self, weights: Weights | None = None) -> tuple[tuple[int, int], ...]:
        """Each target word with the source word that it looks at most, from 0, EOS left out on both sides."""
        folded = self.folded(self.mean if weights is None else weights)[:-1, :-1]
        return tuple((int(row.argmax()), number) for number, row in enumerate(folded) if folded.shape[1])

    def _told(self) -> str:
        kinds = [kind for kind in KINDS if self.layers.get(kind)]
        return " and ".join(f"`{kind}`" for kind in kinds) or "none: it does not attend"


def _before(side: Side) -> Side:
    """What stands before each token: the beginning, and every token but the last."""
    return Side(("<s>", *side.tokens[:-1]), (0, *(unit + 1 for unit in side.unit[:-1])), ("<s>", *side.words[:-1]))


def look(translator: Translator, source: str, target: Sequence[int]) -> Looks:
    """What the model looks at while it writes the target's tokens (without EOS) for a source.

    Emoji that the vocabulary does not know are not in the source, as in a translation.
    Raises DecodingError where there is no source.
    """
    source = source.strip()
    tokens = translator.tokenizers.source.encode(remove_unknown_emoji(source, translator.tokenizers).text or source)
    if not tokens:
        raise DecodingError("there is no source to look at", fix="give a sentence")
    model, device = translator.model, translator.device
    batch = make_batch([(tokens, list(target))]).to(device)
    with torch.inference_mode():
        with record_attention() as heard:
            memory = model.encode(batch.source)
        encoder = heard.self_attention
        with record_attention() as heard:
            output = model.decoder(batch.target_in, memory, with_attention=model.decoder.has_attention)
    if output.attention is None:
        mean = _saliency(model, batch.source, batch.target_in, batch.target_out)
    else:
        mean = output.attention[0, :, : len(tokens) + 1]
        heard.source_attention = heard.source_attention or [output.attention.unsqueeze(1)]
    return Looks(
        source=_side(translator.tokenizers.source, tokens),
        target=_side(translator.tokenizers.target, list(target)),
        mean=_array(mean),
        layers=_layers(encoder, heard),
        gradient=output.attention is None,
    )


def _layers(encoder: Sequence[Tensor], decoder: AttentionRecorder) -> dict[Kind, tuple[Weights, ...]]:
    found: dict[Kind, Sequence[Tensor]] = {
        "source": decoder.source_attention,
        "encoder": encoder,
        "decoder": decoder.self_attention,
    }
    return {kind: tuple(_array(one[0]) for one in layers) for kind, layers in found.items() if layers}


def _array(weights: Tensor) -> Weights:
    array: Weights = weights.float().cpu().numpy()
    return array


def _side(tokenizer: Tokenizer, ids: Sequence[int]) -> Side:
    """A text's tokens and words; EOS is the last of both."""
    units = unit_indices(tokenizer, ids)
    words = [
        tokenizer.decode([token for _, token in some]).strip()
        or " ".join(tokenizer.pieces([token for _, token in some]))
        for some in (list(group) for _, group in groupby(zip(units, ids, strict=True), key=lambda pair: pair[0]))
    ]
    end = tokenizer.pieces([EOS])
    return Side((*tokenizer.pieces(ids), *end), (*units, len(words)), (*words, *end))


def _saliency(model: Seq2Seq, source: Tensor, target_in: Tensor, target_out: Tensor) -> Tensor:
    """(T, S): of each target token's log-probability, how its gradient is divided among the source's embeddings.

    The pair is repeated for each target token, so that one pass back gives all gradients apart.
    """
    times = target_in.size(1)
    kept: list[Tensor] = []

    def keep(module: nn.Module, given: Any, embedded: Tensor) -> Tensor:
        kept.append(embedded.detach().requires_grad_())
        return kept[-1]

    tables = [module for module in model.encoder.modules() if isinstance(module, nn.Embedding)]
    hooks = [table.register_forward_hook(keep) for table in tables]
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):  # cuDNN has no gradient outside training
        try:
            memory = model.encode(source.expand(times, -1))
        finally:
            for hook in hooks:
                hook.remove()
        features = model.decoder(target_in.expand(times, -1), memory).features
        logits = model.decoder.readout(features[torch.arange(times), torch.arange(times)])
        said = logits.log_softmax(-1).gather(1, target_out.T).sum()
        gradients: tuple[Tensor, ...] = torch.autograd.grad(said, kept)
    lengths = torch.stack([gradient.float().norm(dim=2) for gradient in gradients]).mean(0)
    return lengths / lengths.sum(1, keepdim=True).clamp_min(1e-30)
