"""Models of lessons and runs of readers as ONNX, for the page."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from regard.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from regard.tokenizers.base import Tokenizers

SUMMARY = "summary"  # the output of cho2014's encoder that no decoder reads, but a figure draws: c

STEERED = "steered"  # the folder of the graphs whose attention can be changed, in the folder of a model

EXAMPLES = 20  # of a run
TOKENIZERS = ("unigram", "bpe", "byte", "character", "word")
"""The kinds of tokenizers that `static/tokenizers.js` has."""


def export_model(
    run: Path, folder: Path, *, is_steered: bool = True, with_trace: bool = True, int8: bool = False
) -> None:
    """Export a run's best checkpoint into `folder`, which is replaced.

    Args:
        run: The folder of a run or checkpoint.
        folder: The folder to write.
        is_steered: Also write `steered/`, the same model with inputs that change its attention, if it has any.
        with_trace: Also write the graph of lesson 6, if the model is a Transformer.
        int8: Store matrices in 8 bits; not those of the other two.

    Raises:
        CheckpointError: The run cannot be read or exported.
        ConfigError: A package that the export needs is not installed, or a tokenizer does not run in a page.
    """
    from regard.checkpoints.checkpoint import load_checkpoint
    from regard.checkpoints.run_folder import resolve_checkpoint
    from regard.interop.onnx.export import export_onnx
    from regard.lessons.steering import export_steered
    from regard.lessons.trace import add_trace

    checkpoint = load_checkpoint(resolve_checkpoint(run))
    check_tokenizers(checkpoint.tokenizers, run)
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    export_onnx(checkpoint, folder, int8=int8)
    if checkpoint.config.model.architecture == "cho2014":
        add_summary(folder)
    if is_steered:
        with suppress(CheckpointError):  # of a plugin's decoder that can be traced only as it is
            export_steered(checkpoint, folder / STEERED)
    if with_trace:
        add_trace(checkpoint, folder)


def check_tokenizers(tokenizers: Tokenizers, run: Path) -> None:
    """Raise ConfigError if a page cannot encode a run's sources or decode its outputs."""
    for side, tokenizer in (("source", tokenizers.source), ("target", tokenizers.target)):
        if tokenizer.kind not in TOKENIZERS:
            reasons = {
                "marian": "comes with an imported model",
                "pattern": "has a regular expression for Python",
                "list": "is for lists",
                "columns": "is for several columns",
            }
            reason = reasons.get(tokenizer.kind, "is a plugin's")
            raise ConfigError(
                f"the {side} side's tokenizer, `{tokenizer.kind}`, {reason} and does not run in a page",
                where=run,
                fix=f"choose a run whose tokenizer.kind is {', '.join(TOKENIZERS[:-1])} or {TOKENIZERS[-1]}",
            )


def dev_sources(run: Path) -> list[str]:
    """Return the printable sources of the run's dev set, none twice; none at all if it cannot be read."""
    from regard.checkpoints.run_folder import PREPARED, RunFolder
    from regard.corpus.tagged import split_tags
    from regard.files import read_regular_file

    try:
        table = json.loads(read_regular_file(RunFolder(run).data / PREPARED))
        sources = [source for source, _ in table["dev"] if isinstance(source, str)]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
    return [source for source in dict.fromkeys(sources) if split_tags(source)[1].isprintable()]


def write_examples(run: Path, folder: Path) -> None:
    """Write short sources of the run's dev set as `examples.json`, with their tags as in `<de>`."""
    from regard.corpus.tagged import split_tags

    split = [split_tags(source) for source in sorted(dev_sources(run), key=len)[:EXAMPLES]]
    examples = ["".join(f"<{tag}>" for tag in tags) + text for tags, text in split]
    (folder / "examples.json").write_text(json.dumps(examples, ensure_ascii=False) + "\n", encoding="utf-8")


def add_summary(folder: Path) -> None:
    """Make the vector c of an exported cho2014 an output of its encoder: what both parts of its memory are made of."""
    import onnx

    from regard.interop.onnx.manifest import as_json

    path = folder / "encoder.onnx"
    model = onnx.load(path)
    producers = {name: node for node in model.graph.node for name in node.output}
    inputs = [_ancestors(producers, output) for output in ("source.to_unit", "source.to_output")]
    (node,) = [node for node in model.graph.node if node.op_type == "Tanh" and node.output[0] in inputs[0] & inputs[1]]
    width = next(output for output in model.graph.output if output.name == "hidden").type
    identity = onnx.helper.make_node("Identity", [node.output[0]], [SUMMARY])
    model.graph.node.append(identity)
    model.graph.output.append(onnx.helper.make_value_info(SUMMARY, width))
    onnx.save(model, path)
    manifest_path = folder / "manifest.json"
    manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
    hidden = next(tensor for tensor in manifest["encoder"]["outputs"] if tensor["name"] == "hidden")
    manifest["encoder"]["outputs"].append({**hidden, "name": SUMMARY})
    manifest_path.write_text(as_json(manifest), encoding="utf-8")


def _ancestors(producers: dict[str, object], name: str) -> set[str]:
    """Return the names of all tensors that a tensor is computed from."""
    names: set[str] = set()
    waiting = [name]
    while waiting:
        node = producers.get(waiting.pop())
        new = set(getattr(node, "input", ())) - names
        names |= new
        waiting += new
    return names
