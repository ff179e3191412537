"""Import a Hugging Face MarianMT folder, such as an OPUS-MT model, as a run that translates and can be trained further.

The four special tokens of regard have the lowest ids, so the rows of the embeddings are reordered. In Marian the pad
token is usually the decoder's start token as well; its row becomes BOS. A special token without a separate row in
Marian, usually PAD, gets a bias that makes its probability zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regard.checkpoints.checkpoint import Checkpoint, save_checkpoint, vocabulary_sizes
from regard.checkpoints.run_folder import RunFolder
from regard.config.recipe import to_toml
from regard.config.schema import DataConfig, RunConfig, SearchConfig, TokenizerConfig
from regard.contract import Seq2Seq
from regard.errors import CheckpointError, RegardError
from regard.interop import marian_files as files
from regard.interop.weights import WeightMapping, from_marian, weight_mappings
from regard.models.transformer2017 import Config, build
from regard.nn.position import sinusoid
from regard.special_tokens import BOS, PAD
from regard.tokenizers.base import Tokenizers
from regard.tokenizers.marian import MarianTokenizer
from regard.tokenizers.vocabulary import Vocabulary

EXCLUDED_BIAS = -1e4  # added to a logit: the probability becomes zero, in half precision too
POSITION_TOLERANCE = 1e-3  # largest difference from the sinusoid: half precision
MAX_BEAMS = 64


@dataclass(frozen=True)
class _Side:
    """The vocabulary of one side.

    Attributes:
        rows: For each id in regard, the row of Marian's embedding.
        excluded: The ids in regard that have no separate row in Marian.
        tokenizer: The imported tokenizer.
    """

    rows: list[int]
    excluded: list[int]
    tokenizer: MarianTokenizer


def import_marian(folder: Path, out: Path) -> Checkpoint:
    """Read the model in `folder` and write it as a new run to `out`.

    The corpus paths in the run's recipe, data.source and data.target, are placeholders: set them to train further.

    Raises:
        CheckpointError: The model cannot be imported, or `out` holds something already. Nothing is written then.
    """
    theirs = files.read_config(folder)
    source, target = _sides(folder, theirs)
    path, weights = files.read_weights(folder)
    bias = _output_bias(path, weights, target, theirs.target_size)
    config = _model_config(folder, theirs, output_bias=bool(bias.any()))
    state = _convert_weights(path, weights, config, theirs, (source, target))
    if config.output_bias:
        state["decoder.bias"] = bias
    tokenizers = Tokenizers(source.tokenizer, target.tokenizer, theirs.share_encoder_decoder_embeddings)
    checkpoint = Checkpoint(
        _recipe(folder, config, tokenizers), tokenizers, _model(config, tokenizers, state), 0, "", {}
    )
    _write(checkpoint, out)
    return checkpoint


def _sides(folder: Path, theirs: files.MarianConfig) -> tuple[_Side, _Side]:
    paths = [folder / "vocab.json", folder / "target_vocab.json"]
    if theirs.share_encoder_decoder_embeddings or not paths[1].exists():
        paths[1] = paths[0]
    source = files.read_vocabulary(paths[0], theirs.vocab_size)
    target = files.read_vocabulary(paths[1], theirs.target_size)
    if target["</s>"] != theirs.eos_token_id:
        raise CheckpointError(
            f"the id of </s> is {target['</s>']}, but eos_token_id in config.json is {theirs.eos_token_id}",
            where=paths[1],
            fix=files.FIX_FOLDER,
        )
    special = [theirs.pad_token_id, theirs.decoder_start_token_id, target["</s>"], target["<unk>"]]
    source_special = special
    if not theirs.share_encoder_decoder_embeddings:  # a source never contains BOS
        source_special = [source["<pad>"], source.get("<s>", source["<pad>"]), source["</s>"], source["<unk>"]]
    return _side(folder / "source.spm", source, source_special), _side(folder / "target.spm", target, special)


def _side(model: Path, vocabulary: Mapping[str, int], special: Sequence[int]) -> _Side:
    """Build one side. `special` holds Marian's ids for PAD, BOS, EOS and UNK."""
    pieces = sorted(vocabulary, key=lambda piece: vocabulary[piece])
    regular = [id for id in range(len(pieces)) if id not in special]
    try:
        tokenizer = MarianTokenizer(files.read_bytes(model), Vocabulary([pieces[id] for id in regular]))
    except ValueError as error:
        raise CheckpointError(f"the file cannot be read: {error}", where=model, fix=files.FIX_FOLDER) from None
    excluded = [id for id in (PAD, BOS) if special[id] in special[id + 1 :]]
    return _Side([*special, *regular], excluded, tokenizer)


def _output_bias(path: Path, weights: dict[str, Tensor], target: _Side, size: int) -> Tensor:
    bias = weights.pop("final_logits_bias", torch.zeros(1, size))
    if bias.shape != (1, size):
        raise _mismatch(path, [f"final_logits_bias has shape {list(bias.shape)}, expected {[1, size]}"])
    bias = bias[0, target.rows]
    bias[target.excluded] = EXCLUDED_BIAS
    return bias


def _model_config(folder: Path, theirs: files.MarianConfig, *, output_bias: bool) -> Config:
    heads = theirs.encoder_attention_heads
    if theirs.d_model % heads:
        raise CheckpointError(
            f"d_model, {theirs.d_model}, is not divisible by {heads} heads",
            where=folder / "config.json",
            fix=files.FIX_MODEL,
        )
    return Config(
        encoder_layers=theirs.encoder_layers,
        decoder_layers=theirs.decoder_layers,
        hidden_size=theirs.d_model,
        ffn_size=theirs.encoder_ffn_dim,
        num_heads=heads,
        dropout=theirs.dropout,
        activation="relu" if theirs.activation_function == "relu" else "silu",
        output_bias=output_bias,
    )


def _convert_weights(
    path: Path, weights: dict[str, Tensor], config: Config, theirs: files.MarianConfig, sides: tuple[_Side, _Side]
) -> dict[str, Tensor]:
    """Return the weights under the names of regard. Raise CheckpointError for missing, extra or misshapen weights."""
    joint = theirs.share_encoder_decoder_embeddings
    if config.encoder_layers + config.decoder_layers > len(weights):  # check before a name is built for every layer
        raise _mismatch(path, [f"the file holds only {len(weights)} tensors"])
    mappings = weight_mappings(config, joint=joint)
    _drop_repeats(path, weights, joint=joint)
    _drop_positions(path, weights)
    sizes = {"residual": config.hidden_size, "heads": config.hidden_size, "ff": config.ffn_size}
    sizes |= {"source": theirs.vocab_size, "target": theirs.target_size}
    _check_shapes(path, weights, mappings, sizes)
    state = {mapping.name: from_marian(mapping, weights) for mapping in mappings}
    for name, side in zip(("encoder", "decoder"), sides, strict=True):
        table = state[f"{name}.embedding.table.weight"][side.rows]
        if PAD in side.excluded:
            table[PAD] = 0
        state[f"{name}.embedding.table.weight"] = table
    return state


def _drop_repeats(path: Path, weights: dict[str, Tensor], *, joint: bool) -> None:
    """Remove the copies of tied tables that some files contain."""
    first = "model.shared.weight" if joint else "model.decoder.embed_tokens.weight"
    repeats = ["lm_head.weight"]
    if joint:
        repeats += ["model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"]
    for name in repeats:
        copy = weights.pop(name, None)
        if copy is not None and not (first in weights and torch.equal(copy, weights[first])):
            raise _mismatch(path, [f"{name} differs from {first}, to which it must be tied"])


def _drop_positions(path: Path, weights: dict[str, Tensor]) -> None:
    """Remove position tables that are sinusoidal: the model computes them."""
    for stack in ("encoder", "decoder"):
        name = f"model.{stack}.embed_positions.weight"
        table = weights.pop(name, None)
        if table is None:
            continue
        if table.dim() == 2 and table.shape[1] % 2 == 0:
            interleaved = from_marian(WeightMapping("", (name,), ("positions", "residual")), {name: table})
            if (interleaved - sinusoid(*interleaved.shape)).abs().max() < POSITION_TOLERANCE:
                continue
        raise _mismatch(path, [f"{name} is not sinusoidal: learned positions are not supported"])


def _check_shapes(
    path: Path, weights: dict[str, Tensor], mappings: Sequence[WeightMapping], sizes: Mapping[str, int]
) -> None:
    shapes = {name: [sizes[axis] for axis in mapping.axes] for mapping in mappings for name in mapping.marian_names}
    problems = [f"{name} is missing" for name in shapes.keys() - weights.keys()]
    problems += [f"{name} is unexpected" for name in weights.keys() - shapes.keys()]
    problems += [
        f"{name} has shape {list(weights[name].shape)}, expected {shapes[name]}"
        for name in shapes.keys() & weights.keys()
        if list(weights[name].shape) != shapes[name]
    ]
    if problems:
        raise _mismatch(path, problems)


def _mismatch(path: Path, problems: Sequence[str]) -> CheckpointError:
    more = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
    return CheckpointError(
        f"the weights do not match config.json: {', '.join(sorted(problems)[:3])}{more}",
        where=path,
        fix=files.FIX_MODEL,
    )


def _model(config: Config, tokenizers: Tokenizers, state: dict[str, Tensor]) -> Seq2Seq:
    with torch.random.fork_rng(devices=[]):  # the initial weights are discarded: leave the random state unchanged
        model = build(config, vocabulary_sizes(tokenizers))
    model.load_state_dict(state)
    return model.eval()


def _recipe(folder: Path, config: Config, tokenizers: Tokenizers) -> RunConfig:
    optional = {
        name: files.read_json(folder / name) if (folder / name).exists() else {}
        for name in ("tokenizer_config.json", "generation_config.json", "config.json")
    }
    source, target = (_language(optional["tokenizer_config.json"].get(f"{side}_lang")) for side in ("source", "target"))
    beams = optional["generation_config.json"].get("num_beams", optional["config.json"].get("num_beams"))
    search = SearchConfig(beam_size=beams) if type(beams) is int and 1 <= beams <= MAX_BEAMS else SearchConfig()
    return RunConfig(
        data=DataConfig(
            source=f"train.{source or 'source'}",
            target=f"train.{target or 'target'}",
            source_language=source,
            target_language=target,
        ),
        tokenizer=TokenizerConfig(kind="marian", vocabulary_size=tokenizers.target.size, joint=tokenizers.joint),
        model=config,
        search=search,
    )


def _language(value: Any) -> str:
    return value if isinstance(value, str) and value.isidentifier() else ""


def _write(checkpoint: Checkpoint, out: Path) -> None:
    run = RunFolder.create(out)
    with run.lock():
        run.begin(to_toml(checkpoint.config))
        try:
            save_checkpoint(run.checkpoint(0), checkpoint)
        except RegardError:
            run.abandon()
            raise
        run.set_best(run.checkpoint(0))
        run.set_last(run.checkpoint(0))
