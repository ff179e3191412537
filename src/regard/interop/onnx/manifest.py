"""`manifest.json` of an exported folder: what a program that has only the two graphs must know."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from regard.checkpoints.checkpoint import Checkpoint
from regard.interop.onnx.graphs import NEXT
from regard.special_tokens import BOS, EOS, PAD, UNK
from regard.tokenizers.base import Tokenizer
from regard.tokenizers.columns import ColumnsTokenizer, JointTargetTokenizer
from regard.tokenizers.item_list import ListTokenizer
from regard.tokenizers.marian import MarianTokenizer
from regard.tokenizers.pattern import PatternTokenizer
from regard.tokenizers.simple import VocabularyTokenizer
from regard.tokenizers.subword import SubwordTokenizer
from regard.tokenizers.tagged import TaggedTokenizer
from regard.version import __version__

FORMAT = "regard-onnx"
VERSION = 2
READABLE = (1, 2)  # a manifest of version 1 has the tokenizer twice if the vocabulary is joint
FILE, ENCODER, STEP = "manifest.json", "encoder.onnx", "step.onnx"


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a graph: a size is a number, or the name of a size that differs between calls."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def describe(self) -> dict[str, Any]:
        """Return the entry of the manifest."""
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}


@dataclass(frozen=True)
class GraphSpec:
    """The inputs and outputs of a graph."""

    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]

    def describe(self, file: str) -> dict[str, Any]:
        """Return the entry of the manifest."""
        return {
            "file": file,
            "inputs": [tensor.describe() for tensor in self.inputs],
            "outputs": [tensor.describe() for tensor in self.outputs],
        }


def manifest(checkpoint: Checkpoint, encoder: GraphSpec, step: GraphSpec, *, int8: bool) -> dict[str, Any]:
    """Return the manifest of a run with these graphs."""
    config, tokenizers = checkpoint.config, checkpoint.tokenizers
    next_names = {tensor.name for tensor in step.outputs}
    fed = [tensor.name for tensor in step.inputs[1:]]
    described = {"source": describe_tokenizer(tokenizers.source)}
    if tokenizers.target is not tokenizers.source:
        described["target"] = describe_tokenizer(tokenizers.target)
    return {
        "format": FORMAT,
        "version": VERSION,
        "regard_version": __version__,
        "weights": "int8" if int8 else "float32",
        "architecture": config.model.architecture,
        "source_language": config.data.source_language,
        "target_language": config.data.target_language,
        "special_tokens": {"pad": PAD, "bos": BOS, "eos": EOS, "unk": UNK},
        "max_source_length": config.data.max_length,
        "encoder": encoder.describe(ENCODER),
        "step": step.describe(STEP),
        "memory": [name for name in fed if NEXT + name not in next_names],
        "state": [{"input": name, "output": NEXT + name} for name in fed if NEXT + name in next_names],
        "search": config.search.model_dump(mode="json"),
        "tokenizers": {"joint": tokenizers.joint, **described},
    }


def as_json(value: dict[str, Any]) -> str:
    """Return a manifest as JSON, a line for each of its keys."""
    lines = (f"{json.dumps(key)}: {json.dumps(part, ensure_ascii=False)}" for key, part in value.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def describe_tokenizer(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return what another program needs in order to encode and decode as the tokenizer does."""
    tags: tuple[str, ...] = ()
    if isinstance(tokenizer, TaggedTokenizer):
        tags, tokenizer = tokenizer.tags, tokenizer.inner
    description: dict[str, Any] = {"kind": tokenizer.kind, "size": tokenizer.size + len(tags), "tags": list(tags)}
    match tokenizer:
        case SubwordTokenizer():
            matching = tokenizer.matching_pieces()
            description["pieces"] = tokenizer.pieces(range(tokenizer.size))
            description["scores"] = [_shortest(tokenizer.score(id)) for id in range(tokenizer.size)]
            description["byte_ids"] = list(tokenizer.byte_ids)
            description["matching"] = sorted(matching)
        case MarianTokenizer() | VocabularyTokenizer():
            description["pieces"] = tokenizer.pieces(range(tokenizer.size))
        case PatternTokenizer():
            description["pieces"] = tokenizer.pieces(range(tokenizer.size))
            description["pattern"] = tokenizer.pattern
        case ListTokenizer():
            description["pieces"] = tokenizer.pieces(range(tokenizer.size))
            description["delimiter"] = tokenizer.delimiter
        case ColumnsTokenizer():
            description["separator"] = tokenizer.separator
            description["columns"] = [
                {"offset": offset, **describe_tokenizer(column)}
                for offset, column in zip(tokenizer.offsets, tokenizer.columns, strict=True)
            ]
        case JointTargetTokenizer():
            description = {**describe_tokenizer(tokenizer.inner), **description}
    return description


def _shortest(score: float) -> float:
    """Return a float32 with as few digits as identify it."""
    return float(f"{score:.9g}")
