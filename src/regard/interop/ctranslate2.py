"""Export a run to a folder that CTranslate2 loads: transformer2017, and modern with decoder = "attention".

Token ids are unchanged. Differences from decoding in regard:

- CTranslate2 has no way to exclude PAD and BOS from its output, so the export gives them a bias that makes their
  probability zero. In regard they keep their share, so scores differ slightly; translations do not.
- CTranslate2 generates at least one token in greedy search too, unless min_decoding_length is 0. In regard only beam
  search requires a token (unless `allow_empty` is set).
- The positions of transformer2017 are a table with 2,048 entries, which limits the length of a sequence.
- A shortlist becomes CTranslate2's vocabulary map. CTranslate2 merges the candidates of all sentences in a batch, so a
  translation can depend on its batch; in regard it does not.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from regard.checkpoints.checkpoint import Checkpoint
from regard.contract import Seq2Seq
from regard.decoding.shortlist import Shortlist
from regard.errors import CheckpointError, ConfigError
from regard.interop.export_folder import new_folder, refuse_copying
from regard.interop.pieces import plain_text_model, refuse_columns, written_forms
from regard.models import modern, transformer2017
from regard.nn.position import sinusoid
from regard.special_tokens import BOS, EOS, PAD, SPECIAL, UNK
from regard.tokenizers.base import Tokenizer, Tokenizers
from regard.tokenizers.tagged import TaggedTokenizer

POSITIONS = 2048
EXCLUDED_BIAS = -1e4  # added to a logit: the probability becomes zero, in half precision too

_SEPARATORS = frozenset(" \t\r\n")  # separate the entries of a vocabulary map

Weights = dict[str, Tensor]  # tensors of a model or of one of its modules, by name


def export_ctranslate2(checkpoint: Checkpoint, out: Path, shortlist: Shortlist | None = None) -> str:
    """Write the run to the folder `out` and return example Python code that translates with it.

    Args:
        checkpoint: The run to export.
        out: The folder to write. It must not exist, or be empty.
        shortlist: Exported as a vocabulary map, and used by the returned code, if given.

    Raises:
        CheckpointError: CTranslate2 does not support the model, or the folder cannot be written.
        ConfigError: CTranslate2 is not installed.
    """
    refuse_columns(checkpoint.tokenizers, "ctranslate2")
    config = checkpoint.config.model
    refuse_copying(config, "ctranslate2")
    specs = _specs()
    state = {name: tensor.float() for name, tensor in checkpoint.model.state_dict().items()}
    if isinstance(config, transformer2017.Config):
        spec = _transformer2017(specs, config, state)
    elif isinstance(config, modern.Config) and config.decoder == "attention":
        spec = _modern(specs, config, state)
    else:
        raise CheckpointError(
            "CTranslate2 supports transformer2017, and modern with decoder = attention; this run uses "
            + ("modern with decoder = ssru" if isinstance(config, modern.Config) else config.architecture),
            where="ctranslate2",
            fix="train one of these architectures",
        )
    tokenizers = checkpoint.tokenizers
    spec.decoder.projection.bias = _output_bias(state, tokenizers.target.size)
    spec.register_source_vocabulary(written_forms(tokenizers.source, "source"))
    spec.register_target_vocabulary(written_forms(tokenizers.target, "target"))
    _configure(spec.config, checkpoint.model)
    with new_folder(out) as folder:
        spec.validate()
        spec.optimize()
        spec.save(str(folder))
        if shortlist is not None:
            (folder / "vmap.txt").write_text(_vocabulary_map(shortlist, tokenizers), encoding="utf-8")
        search = checkpoint.config.search
        min_length = int(search.beam_size > 1 and not search.allow_empty)
        options = f"beam_size={search.beam_size}, min_decoding_length={min_length}"
        options += "" if shortlist is None else ", use_vmap=True"
        return _write_tokenizers(folder, tokenizers, out, options)


def _specs() -> ModuleType:
    try:
        import ctranslate2.specs
    except ImportError:
        raise ConfigError(
            "CTranslate2 is not installed", where="ctranslate2", fix="pip install 'ctranslate2>=4.7'"
        ) from None
    specs: ModuleType = ctranslate2.specs
    return specs


def _configure(config: Any, model: Seq2Seq) -> None:
    config.bos_token, config.eos_token, config.unk_token = SPECIAL[BOS], SPECIAL[EOS], SPECIAL[UNK]
    config.decoder_start_token = SPECIAL[BOS]
    config.add_source_eos = True
    config.layer_norm_epsilon = next(norm.eps for norm in model.modules() if isinstance(norm, nn.LayerNorm))


def _output_bias(state: Weights, size: int) -> Tensor:
    bias = state.get("decoder.bias", torch.zeros(size)).clone()
    bias[[PAD, BOS]] = EXCLUDED_BIAS
    return bias


def _transformer2017(specs: ModuleType, config: transformer2017.Config, state: Weights) -> Any:
    activations = specs.common_spec.Activation
    options = {
        "num_heads": config.num_heads,
        "pre_norm": False,
        "activation": activations.SWISH if config.activation == "silu" else activations.RELU,
    }
    spec = _transformer_spec(specs, config.encoder_layers, config.decoder_layers, options)
    for name, stack in (("encoder", spec.encoder), ("decoder", spec.decoder)):
        stack.position_encodings.encodings = sinusoid(POSITIONS, config.hidden_size)
        for number, layer in enumerate(stack.layer):
            part = _part(state, f"{name}.layers.{number}")
            fused = _part(part, "attention")
            _linear(layer.self_attention.linear[0], _stack(fused, "query", "key_value"))
            _linear(layer.self_attention.linear[1], _part(fused, "output"))
            _norm(layer.self_attention.layer_norm, _part(part, "attention_norm"))
            if name == "decoder":
                cross_attention = _part(part, "source_attention")
                for linear, name_in_run in zip(layer.attention.linear, ("query", "key_value", "output"), strict=True):
                    _linear(linear, _part(cross_attention, name_in_run))
                _norm(layer.attention.layer_norm, _part(part, "source_norm"))
            _linear(layer.ffn.linear_0, _part(part, "ff.0"))
            _linear(layer.ffn.linear_1, _part(part, "ff.2"))
            _norm(layer.ffn.layer_norm, _part(part, "ff_norm"))
    _embeddings(spec, state)
    return spec


def _modern(specs: ModuleType, config: modern.Config, state: Weights) -> Any:
    options = {
        "num_heads": config.num_heads,
        "pre_norm": True,
        "activation": specs.common_spec.Activation.SWISH,
        "ffn_glu": True,
        "num_heads_kv": config.num_kv_heads or config.num_heads,
        "rotary_dim": config.hidden_size // config.num_heads,
        "rotary_interleave": True,
    }
    spec = _transformer_spec(specs, config.encoder_layers, config.decoder_layers, options)
    for name, stack in (("encoder", spec.encoder), ("decoder", spec.decoder)):
        for number, layer in enumerate(stack.layer):
            part = _part(state, f"{name}.layers.{number}")
            attention_name = "past" if name == "decoder" else "attention"
            attention = _part(part, attention_name)
            _linear(layer.self_attention.linear[0], _stack(attention, "query", "key", "value"))
            _linear(layer.self_attention.linear[1], _part(attention, "output"))
            _norm(layer.self_attention.layer_norm, _part(part, f"{attention_name}_norm"))
            if name == "decoder":
                cross_attention = _part(part, "source_attention")
                _linear(layer.attention.linear[0], _part(cross_attention, "query"))
                _linear(layer.attention.linear[1], _stack(cross_attention, "key", "value"))
                _linear(layer.attention.linear[2], _part(cross_attention, "output"))
                _norm(layer.attention.layer_norm, _part(part, "source_norm"))
            _linear(layer.ffn.linear_0, _part(part, "ff.gate"))
            _linear(layer.ffn.linear_0_noact, _part(part, "ff.input"))
            _linear(layer.ffn.linear_1, _part(part, "ff.output"))
            _norm(layer.ffn.layer_norm, _part(part, "ff_norm"))
        _norm(stack.layer_norm, _part(state, f"{name}.norm"))
    _embeddings(spec, state)
    return spec


def _transformer_spec(specs: ModuleType, encoder_layers: int, decoder_layers: int, options: dict[str, Any]) -> Any:
    return specs.TransformerSpec(
        specs.transformer_spec.TransformerEncoderSpec(encoder_layers, **options),
        specs.transformer_spec.TransformerDecoderSpec(decoder_layers, **options),
    )


def _part(weights: Weights, name: str) -> Weights:
    return {key.removeprefix(f"{name}."): weight for key, weight in weights.items() if key.startswith(f"{name}.")}


def _stack(weights: Weights, *names: str) -> Weights:
    """Merge linear layers that read the same input into one layer, with their outputs concatenated."""
    parts = [_part(weights, name) for name in names]
    return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}


def _linear(spec: Any, weights: Weights) -> None:
    spec.weight = weights["weight"]
    if "bias" in weights:
        spec.bias = weights["bias"]


def _norm(spec: Any, weights: Weights) -> None:
    spec.gamma = weights["weight"]
    spec.beta = weights["bias"] if "bias" in weights else torch.zeros_like(weights["weight"])


def _embeddings(spec: Any, state: Weights) -> None:
    spec.encoder.embeddings[0].weight = state["encoder.embedding.table.weight"]
    spec.decoder.embeddings.weight = state["decoder.embedding.table.weight"]
    spec.decoder.projection.weight = state["decoder.embedding.table.weight"]


_WITH_SENTENCEPIECE = """\
import ctranslate2, sentencepiece
translator = ctranslate2.Translator({folder!r})
source = sentencepiece.SentencePieceProcessor(model_file={source!r})
target = sentencepiece.SentencePieceProcessor(model_file={target!r})
for result in translator.translate_batch([source.encode("a line", out_type=str)], {options}):
    print(target.decode(result.hypotheses[0]))
"""
_WITH_REGARD = """\
import ctranslate2, json, pathlib
from regard.tokenizers.base import Tokenizers
translator = ctranslate2.Translator({folder!r})
tokenizers = Tokenizers.load(pathlib.Path({folder!r})){tags}
ids = {{piece: id for id, piece in enumerate(tokenizers.target.pieces(range(tokenizers.target.size)))}}
tokens = tokenizers.source.pieces(tokenizers.source.encode("a line"))
for result in translator.translate_batch([tokens], {options}):
    print(tokenizers.target.decode([ids[piece] for piece in result.hypotheses[0]]))
"""


def _vocabulary_map(shortlist: Shortlist, tokenizers: Tokenizers) -> str:
    """Return the text of a vocabulary map: for each source piece the piece, a tab, and its candidates joined by spaces.

    The first line has an empty piece; its candidates are allowed in every sentence. Pieces that contain a separator
    are left out.
    """
    sources, targets = written_forms(tokenizers.source, "source"), written_forms(tokenizers.target, "target")
    target_pieces = {id: piece for id, piece in enumerate(targets) if id != PAD and not _SEPARATORS & {*piece}}
    rows = [("", shortlist.frequent), *zip(sources, shortlist.candidates, strict=True)]
    lines = [(piece, [target_pieces[id] for id in row.tolist() if id in target_pieces]) for piece, row in rows]
    return "".join(
        f"{piece}\t{' '.join(candidates)}\n" for piece, candidates in lines if candidates and not _SEPARATORS & {*piece}
    )


def _write_tokenizers(folder: Path, tokenizers: Tokenizers, out: Path, options: str) -> str:
    """Write SentencePiece models, or regard's own files for other tokenizers, and return the code that uses them."""
    models = {"source": plain_text_model(tokenizers.source), "target": plain_text_model(tokenizers.target)}
    names = {side: str(out / f"{side}.spm") for side in models}
    for side, model in models.items():
        if model is None:
            tokenizers.save(folder)
            return _WITH_REGARD.format(folder=str(out), options=options, tags=_first_tag(tokenizers.source))
        (folder / f"{side}.spm").write_bytes(model)
    return _WITH_SENTENCEPIECE.format(folder=str(out), options=options, **names)


def _first_tag(source: Tokenizer) -> str:
    """Return the code that prepends the first tag to a source, or an empty string if the run has no tags."""
    if not isinstance(source, TaggedTokenizer):
        return ""
    comment = f"  # tags: {', '.join(source.tags)}" if len(source.tags) > 1 else ""
    return f".prepend_tags([{source.tags[0]!r}]){comment}"
