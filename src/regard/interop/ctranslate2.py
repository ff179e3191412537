"""A run as a folder that CTranslate2 loads: transformer2017, and modern with decoder = "attention".

Ids stay ours. Nothing makes CTranslate2 leave PAD and BOS out of what it says, so they get a bias
that leaves them no probability; ours keep their share, which is why scores, not translations,
differ a little there. It says one token at least, as our beams do (unless `allow_empty`), in greedy search
too, where ours may say nothing; min_decoding_length=0 lets it.
transformer2017's positions are a table there, which has an end: 2,048 tokens. A shortlist becomes its vocabulary map,
by which a batch may be said all that any sentence of it may: what it says depends on the batch, ours does not.
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
from regard.interop.export_folder import new_folder
from regard.interop.pieces import plain_text_model, written_forms
from regard.models import modern, transformer2017
from regard.nn.position import sinusoid
from regard.special_tokens import BOS, EOS, PAD, SPECIAL, UNK
from regard.tokenizers.base import Tokenizer, Tokenizers
from regard.tokenizers.tagged import TaggedTokenizer

POSITIONS = 2048
NEVER = -1e4  # added to a logit, leaves no probability, in half precision too

_SEPARATORS = frozenset(" \t\r\n")  # of a vocabulary map

Weights = dict[str, Tensor]  # of a model or a part of it, by name


def export_ctranslate2(checkpoint: Checkpoint, place: Path, shortlist: Shortlist | None = None) -> str:
    """Write the folder `place`, and give the lines of Python that translate with it, and with the shortlist if given.

    Raises CheckpointError for what CTranslate2 cannot hold and where the folder cannot be written,
    and ConfigError where CTranslate2 is not installed.
    """
    config = checkpoint.config.model
    specs = _specs()
    state = {name: tensor.float() for name, tensor in checkpoint.model.state_dict().items()}
    if isinstance(config, transformer2017.Config):
        spec = _transformer2017(specs, config, state)
    elif isinstance(config, modern.Config) and config.decoder == "attention":
        spec = _modern(specs, config, state)
    else:
        raise CheckpointError(
            "CTranslate2 holds transformer2017, and modern with decoder = attention; this run is of "
            + ("modern with decoder = ssru" if isinstance(config, modern.Config) else config.architecture),
            where="ctranslate2",
            fix="train one of those two",
        )
    tokenizers = checkpoint.tokenizers
    spec.decoder.projection.bias = _output_bias(state, tokenizers.target.size)
    spec.register_source_vocabulary(written_forms(tokenizers.source, "source"))
    spec.register_target_vocabulary(written_forms(tokenizers.target, "target"))
    _configure(spec.config, checkpoint.model)
    with new_folder(place) as folder:
        spec.validate()
        spec.optimize()
        spec.save(str(folder))
        if shortlist is not None:
            (folder / "vmap.txt").write_text(_vocabulary_map(shortlist, tokenizers), encoding="utf-8")
        search = checkpoint.config.search
        least = int(search.beam_size > 1 and not search.allow_empty)
        options = f"min_decoding_length={least}" + ("" if shortlist is None else ", use_vmap=True")
        return _write_tokenizers(folder, tokenizers, place, options)


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
    bias[[PAD, BOS]] = NEVER
    return bias


def _transformer2017(specs: ModuleType, config: transformer2017.Config, state: Weights) -> Any:
    activations = specs.common_spec.Activation
    options = {
        "num_heads": config.num_heads,
        "pre_norm": False,
        "activation": activations.SWISH if config.activation == "silu" else activations.RELU,
    }
    spec = _both(specs, config.encoder_layers, config.decoder_layers, options)
    for name, stack in (("encoder", spec.encoder), ("decoder", spec.decoder)):
        stack.position_encodings.encodings = sinusoid(POSITIONS, config.hidden_size)
        for number, layer in enumerate(stack.layer):
            part = _part(state, f"{name}.layers.{number}")
            fused = _part(part, "attention")
            _linear(layer.self_attention.linear[0], _stack(fused, "query", "key_value"))
            _linear(layer.self_attention.linear[1], _part(fused, "output"))
            _norm(layer.self_attention.layer_norm, _part(part, "attention_norm"))
            if name == "decoder":
                across = _part(part, "source_attention")
                for linear, own in zip(layer.attention.linear, ("query", "key_value", "output"), strict=True):
                    _linear(linear, _part(across, own))
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
    spec = _both(specs, config.encoder_layers, config.decoder_layers, options)
    for name, stack in (("encoder", spec.encoder), ("decoder", spec.decoder)):
        for number, layer in enumerate(stack.layer):
            part = _part(state, f"{name}.layers.{number}")
            before = "past" if name == "decoder" else "attention"
            own = _part(part, before)
            _linear(layer.self_attention.linear[0], _stack(own, "query", "key", "value"))
            _linear(layer.self_attention.linear[1], _part(own, "output"))
            _norm(layer.self_attention.layer_norm, _part(part, f"{before}_norm"))
            if name == "decoder":
                across = _part(part, "source_attention")
                _linear(layer.attention.linear[0], _part(across, "query"))
                _linear(layer.attention.linear[1], _stack(across, "key", "value"))
                _linear(layer.attention.linear[2], _part(across, "output"))
                _norm(layer.attention.layer_norm, _part(part, "source_norm"))
            _linear(layer.ffn.linear_0, _part(part, "ff.gate"))
            _linear(layer.ffn.linear_0_noact, _part(part, "ff.input"))
            _linear(layer.ffn.linear_1, _part(part, "ff.output"))
            _norm(layer.ffn.layer_norm, _part(part, "ff_norm"))
        _norm(stack.layer_norm, _part(state, f"{name}.norm"))
    _embeddings(spec, state)
    return spec


def _both(specs: ModuleType, encoder_layers: int, decoder_layers: int, options: dict[str, Any]) -> Any:
    return specs.TransformerSpec(
        specs.transformer_spec.TransformerEncoderSpec(encoder_layers, **options),
        specs.transformer_spec.TransformerDecoderSpec(decoder_layers, **options),
    )


def _part(weights: Weights, name: str) -> Weights:
    return {key.removeprefix(f"{name}."): weight for key, weight in weights.items() if key.startswith(f"{name}.")}


def _stack(weights: Weights, *names: str) -> Weights:
    """Several linear maps of one input as one, their outputs one behind the other."""
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
for found in translator.translate_batch([source.encode("a line", out_type=str)], {options}):
    print(target.decode(found.hypotheses[0]))
"""
_WITH_REGARD = """\
import ctranslate2, json, pathlib
from regard.tokenizers.base import Tokenizers
translator = ctranslate2.Translator({folder!r})
tokenizers = Tokenizers.load(pathlib.Path({folder!r})){tags}
ids = {{piece: id for id, piece in enumerate(tokenizers.target.pieces(range(tokenizers.target.size)))}}
tokens = tokenizers.source.pieces(tokenizers.source.encode("a line"))
for found in translator.translate_batch([tokens], {options}):
    print(tokenizers.target.decode([ids[piece] for piece in found.hypotheses[0]]))
"""


def _vocabulary_map(shortlist: Shortlist, tokenizers: Tokenizers) -> str:
    """A line for each source piece, and one for none: the piece, a tab, and its candidates with a space between them.

    Pieces that such a line cannot hold are left out.
    """
    sources, targets = written_forms(tokenizers.source, "source"), written_forms(tokenizers.target, "target")
    kept = {id: piece for id, piece in enumerate(targets) if id != PAD and not _SEPARATORS & {*piece}}
    rows = [("", shortlist.frequent), *zip(sources, shortlist.candidates, strict=True)]
    lines = [(piece, [kept[id] for id in row.tolist() if id in kept]) for piece, row in rows]
    return "".join(f"{piece}\t{' '.join(of)}\n" for piece, of in lines if of and not _SEPARATORS & {*piece})


def _write_tokenizers(folder: Path, tokenizers: Tokenizers, place: Path, options: str) -> str:
    """SentencePiece models, or where there are none our own files; gives the lines of Python that use them."""
    models = {"source": plain_text_model(tokenizers.source), "target": plain_text_model(tokenizers.target)}
    names = {side: str(place / f"{side}.spm") for side in models}
    for side, model in models.items():
        if model is None:
            tokenizers.save(folder)
            return _WITH_REGARD.format(folder=str(place), options=options, tags=_first_tag(tokenizers.source))
        (folder / f"{side}.spm").write_bytes(model)
    return _WITH_SENTENCEPIECE.format(folder=str(place), options=options, **names)


def _first_tag(source: Tokenizer) -> str:
    """How the lines of Python put a tag before the source, where the run has any."""
    if not isinstance(source, TaggedTokenizer):
        return ""
    others = f"  # tags: {', '.join(source.tags)}" if len(source.tags) > 1 else ""
    return f".prepend_tags([{source.tags[0]!r}]){others}"
