"""Translate lines on a Ray cluster, in parts that survive a lost node and a second start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regard.checkpoints.run_folder import resolve_checkpoint
from regard.cli.streams import input_lines
from regard.cli.translate_options import OutputOptions, SearchRequest
from regard.cli.translator_options import TranslatorOptions
from regard.console import say, status
from regard.errors import ConfigError
from regard.plugins.registry import plugin_sources
from regard.ray_cluster import connect, require_ray

if TYPE_CHECKING:
    from regard.inference.line_output import LineOutput
    from regard.inference.part_files import Part
    from regard.inference.translator import TranslateOptions

WEIGHTS = ("config.json", "model.safetensors")


@contextmanager
def cluster_results(
    model: TranslatorOptions,
    path: Path | None,
    request: SearchRequest,
    outputs: OutputOptions,
    options: TranslateOptions,
) -> Iterator[Iterator[LineOutput]]:
    """Yield the results of all lines in order. The folder of the parts is deleted if the block ends without an error.

    Raises:
        ConfigError: There is no input or output file, Ray is missing, or the parts belong to another job.
        DataError: A file cannot be read or written.
        CheckpointError: A folder holds no run.
    """
    if path is None or outputs.text is None:
        raise ConfigError(
            "parts need files: all nodes read and write them", where="--ray", fix="give both --input and --output"
        )
    model.check()
    require_ray()
    with status("loading PyTorch"):
        from regard.inference.cluster import ClusterJob
        from regard.inference.part_files import PartFiles
    folder = outputs.text.absolute().with_name(f"{outputs.text.name}.parts")
    with connect(request.ray):
        description = _describe(model, path, request, options)
        files = PartFiles.open(folder, description, lambda: _divide(path, request))
        missing = len(files.missing())
        if missing < files.count:
            say(f"continuing: {files.count - missing:,} of {files.count:,} parts are in {folder}")
        job = ClusterJob(
            files,
            _with_absolute_paths(model).loader(),
            options,
            align=outputs.alignments is not None,
            actors=request.workers,
            device=model.device,
        )
        try:
            yield job.results()
        except BaseException:
            complete = files.count - len(files.missing())
            say(f"{complete:,} of {files.count:,} parts are in {folder}; the same command continues with the others")
            raise
    files.remove()


def _divide(path: Path, request: SearchRequest) -> Iterator[Part]:
    from regard.cli.translate_lines import read_constraints
    from regard.inference.part_files import divide

    return divide(input_lines(path, request.column), read_constraints(request.constraints))


def _with_absolute_paths(model: TranslatorOptions) -> TranslatorOptions:
    """Return the same options for a process that runs in another folder."""
    return replace(model, run=model.run.absolute(), ensemble=[run.absolute() for run in model.ensemble])


def _describe(
    model: TranslatorOptions, path: Path, request: SearchRequest, options: TranslateOptions
) -> dict[str, Any]:
    """Return everything that determines the results, with size and time of the files that are read."""
    runs = [model.run, *model.ensemble]
    weights = [resolve_checkpoint(run).resolve() / name for run in runs for name in WEIGHTS]
    shortlists = [model.run.resolve() / "shortlist.safetensors"] if options.get("shortlist") else []
    uses_confidence = bool(options.get("with_confidence")) or options.get("min_confidence") is not None
    unused = {"constraints"} if uses_confidence else {"constraints", "with_confidence", "min_confidence"}
    confidence = [resolve_checkpoint(model.run).resolve() / "confidence.json"] if uses_confidence else []
    constraints = [] if request.constraints is None else [request.constraints.resolve()]
    return {
        "files": [_state(file) for file in (path.resolve(), *constraints, *weights, *shortlists, *confidence)],
        "column": request.column,
        "tags": list(model.tags),
        "precision": model.precision,
        "plugins": list(plugin_sources()),
        "options": {key: value for key, value in options.items() if key not in unused},
    }


def _state(path: Path) -> list[Any]:
    """Return the path of a file with its size and the time of its last change; without them if it does not exist."""
    try:
        status = path.stat()
    except OSError:  # reading it reports what is wrong
        return [str(path)]
    return [str(path), status.st_size, status.st_mtime_ns]
