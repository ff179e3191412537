"""A MarianMT folder of Hugging Face's, such as one of OPUS-MT, as a run of ours that translates and can be trained on.

Our four special ids come first, so rows of the embeddings move. Their pad token is mostly what the
decoder is fed first too; its row is then our BOS. What has no row of its own there, PAD as a rule, gets a bias that
leaves it no probability.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regard.checkpoints.checkpoint import Checkpoint, save_checkpoint
from regard.checkpoints.run_folder import RunFolder
from regard.config.recipe import to_toml
from regard.config.schema import DataConfig, RunConfig, SearchConfig, TokenizerConfig
from regard.contract import Seq2Seq, VocabularySizes
from regard.errors import CheckpointError, RegardError
from regard.interop import marian_files as files
from regard.interop.weights import Tie, from_marian, ties
from regard.models.transformer2017 import Config, build
from regard.nn.position import sinusoid
from regard.special_tokens import BOS, PAD
from regard.tokenizers.base import Tokenizers
from regard.tokenizers.marian import MarianTokenizer
from regard.tokenizers.vocabulary import Vocabulary

NEVER = -1e4  # added to a logit, leaves no probability, in half precision too
EQUAL = 1e-3  # so far may positions be from the sinusoid: half precision
MOST_BEAMS = 64


@dataclass(frozen=True)
class _Side:
    """One side's ids: for each of ours the row of theirs, and those of ours that have no row of their own."""

    rows: list[int]
    silent: list[int]
    tokenizer: MarianTokenizer


def import_marian(folder: Path, out: Path) -> Checkpoint:
    """Read the model in `folder` and make a run of it at `out`, which must not hold one yet.

    The run's recipe names no corpus that is there: data.source and data.target are for your own.
    Raises CheckpointError, and leaves nothing at `out` then.
    """
    theirs = files.read_config(folder)
    source, target = _sides(folder, theirs)
    path, given = files.read_weights(folder)
    bias = _output_bias(path, given, target, theirs.target_size)
    config = _our_config(folder, theirs, output_bias=bool(bias.any()))
    state = _state(path, given, config, theirs, (source, target))
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
            f"</s> is {target['</s>']}, and eos_token_id of config.json {theirs.eos_token_id}",
            where=paths[1],
            fix=files.FOLDER,
        )
    special = [theirs.pad_token_id, theirs.decoder_start_token_id, target["</s>"], target["<unk>"]]
    of_source = special
    if not theirs.share_encoder_decoder_embeddings:  # where no BOS is ever read
        of_source = [source["<pad>"], source.get("<s>", source["<pad>"]), source["</s>"], source["<unk>"]]
    return _side(folder / "source.spm", source, of_source), _side(folder / "target.spm", target, special)


def _side(model: Path, vocabulary: Mapping[str, int], special: Sequence[int]) -> _Side:
    """special: their ids of what are our PAD, BOS, EOS and UNK."""
    pieces = sorted(vocabulary, key=lambda piece: vocabulary[piece])
    others = [id for id in range(len(pieces)) if id not in special]
    try:
        tokenizer = MarianTokenizer(files.read_bytes(model), Vocabulary([pieces[id] for id in others]))
    except ValueError as error:
        raise CheckpointError(f"the file cannot be read: {error}", where=model, fix=files.FOLDER) from None
    silent = [id for id in (PAD, BOS) if special[id] in special[id + 1 :]]
    return _Side([*special, *others], silent, tokenizer)


def _output_bias(path: Path, given: dict[str, Tensor], target: _Side, size: int) -> Tensor:
    theirs = given.pop("final_logits_bias", torch.zeros(1, size))
    if theirs.shape != (1, size):
        raise _misfit(path, [f"final_logits_bias is {list(theirs.shape)} and should be {[1, size]}"])
    bias = theirs[0, target.rows]
    bias[target.silent] = NEVER
    return bias


def _our_config(folder: Path, theirs: files.MarianConfig, *, output_bias: bool) -> Config:
    heads = theirs.encoder_attention_heads
    if theirs.d_model % heads:
        raise CheckpointError(
            f"{heads} heads do not divide d_model, {theirs.d_model}", where=folder / "config.json", fix=files.MODELS
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


def _state(
    path: Path, given: dict[str, Tensor], config: Config, theirs: files.MarianConfig, sides: tuple[_Side, _Side]
) -> dict[str, Tensor]:
    """Their weights by our names. Raises CheckpointError where one is missing, too many or of another shape."""
    joint = theirs.share_encoder_decoder_embeddings
    if config.encoder_layers + config.decoder_layers > len(given):  # before as many names are made
        raise _misfit(path, [f"it holds only {len(given)} tensors"])
    wanted = ties(config, joint=joint)
    _drop_repeats(path, given, joint=joint)
    _drop_positions(path, given)
    sizes = {"residual": config.hidden_size, "heads": config.hidden_size, "ff": config.ffn_size}
    sizes |= {"source": theirs.vocab_size, "target": theirs.target_size}
    _refuse_misfits(path, given, wanted, sizes)
    state = {tie.ours: from_marian(tie, given) for tie in wanted}
    for name, side in zip(("encoder", "decoder"), sides, strict=True):
        table = state[f"{name}.embedding.table.weight"][side.rows]
        if PAD in side.silent:
            table[PAD] = 0
        state[f"{name}.embedding.table.weight"] = table
    return state


def _drop_repeats(path: Path, given: dict[str, Tensor], *, joint: bool) -> None:
    """Forget the tables that are another one once more, as some files have them."""
    first = "model.shared.weight" if joint else "model.decoder.embed_tokens.weight"
    repeats = ["lm_head.weight"]
    if joint:
        repeats += ["model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"]
    for name in repeats:
        again = given.pop(name, None)
        if again is not None and not (first in given and torch.equal(again, given[first])):
            raise _misfit(path, [f"{name} is not {first}, to which it should be tied"])


def _drop_positions(path: Path, given: dict[str, Tensor]) -> None:
    """Forget tables of positions that are the sinusoid; the model knows it."""
    for stack in ("encoder", "decoder"):
        name = f"model.{stack}.embed_positions.weight"
        table = given.pop(name, None)
        if table is None:
            continue
        if table.dim() == 2 and table.shape[1] % 2 == 0:
            ours = from_marian(Tie("", (name,), ("positions", "residual")), {name: table})
            if (ours - sinusoid(*ours.shape)).abs().max() < EQUAL:
                continue
        raise _misfit(path, [f"{name} is not the sinusoid: the positions were learned"])


def _refuse_misfits(path: Path, given: dict[str, Tensor], wanted: Sequence[Tie], sizes: Mapping[str, int]) -> None:
    shapes = {name: [sizes[axis] for axis in tie.axes] for tie in wanted for name in tie.theirs}
    wrong = [f"{name} is missing" for name in shapes.keys() - given.keys()]
    wrong += [f"{name} is not of this model" for name in given.keys() - shapes.keys()]
    wrong += [
        f"{name} is {list(given[name].shape)} and should be {shapes[name]}"
        for name in shapes.keys() & given.keys()
        if list(given[name].shape) != shapes[name]
    ]
    if wrong:
        raise _misfit(path, wrong)


def _misfit(path: Path, wrong: Sequence[str]) -> CheckpointError:
    more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    return CheckpointError(
        f"the weights do not fit config.json: {', '.join(sorted(wrong)[:3])}{more}", where=path, fix=files.MODELS
    )


def _model(config: Config, tokenizers: Tokenizers, state: dict[str, Tensor]) -> Seq2Seq:
    sizes = VocabularySizes(tokenizers.source.size, tokenizers.target.size, tokenizers.joint)
    with torch.random.fork_rng(devices=[]):  # the fresh weights are thrown away: draw nothing for them
        model = build(config, sizes)
    model.load_state_dict(state)
    return model.eval()


def _recipe(folder: Path, config: Config, tokenizers: Tokenizers) -> RunConfig:
    optional = {
        name: files.read_json(folder / name) if (folder / name).exists() else {}
        for name in ("tokenizer_config.json", "generation_config.json", "config.json")
    }
    source, target = (_language(optional["tokenizer_config.json"].get(f"{side}_lang")) for side in ("source", "target"))
    beams = optional["generation_config.json"].get("num_beams", optional["config.json"].get("num_beams"))
    search = SearchConfig(beam_size=beams) if type(beams) is int and 1 <= beams <= MOST_BEAMS else SearchConfig()
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


def _language(given: Any) -> str:
    return given if isinstance(given, str) and given.isidentifier() else ""


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
