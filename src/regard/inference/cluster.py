"""Translate the parts of a large file on a Ray cluster, with a pool of actors that each hold a model.

Needs Ray, an optional dependency: pip install "regard[ray]". The nodes share the folders of the model and of the parts.

Ray Data distributes the numbers of the parts. An actor reads the lines of a part from the job's folder and writes its
results there, so whatever is lost with a node is a missing part, which the next pass over the missing parts
translates. Ray does not retry tasks itself: a task would wait until its actor has found a place on another node.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

import regard.errors
from regard.errors import ConfigError, DecodingError, RegardError
from regard.inference.line_output import LineOutput
from regard.inference.options import TranslateOptions
from regard.inference.part_files import PartFiles
from regard.inference.translator import Translator
from regard.plugins.loading import load_plugin
from regard.plugins.registry import plugin_sources
from regard.ray_cluster import OPTION, first_line

AHEAD = 2  # parts sent to an actor at a time, so that it is never idle
NODES_FIX = "install the same version of regard on every node, and share the folders of the run and of the output"


@dataclass(frozen=True)
class ClusterJob:
    """How the parts of a file are translated on a cluster.

    Attributes:
        files: The folder of the job, which all nodes share.
        load: Loads the translator of an actor.
        options: Options of `Translator.translate`.
        align: Whether to keep word alignments.
        actors: The number of actors; 0: one for each GPU of the cluster, or for each CPU if it has no GPU.
        device: The device to run on, as in `Translator.load`.
        plugins: What the plugins of this process are loaded from.
    """

    files: PartFiles
    load: Callable[[], Translator]
    options: TranslateOptions
    align: bool = False
    actors: int = 0
    device: str = "auto"
    plugins: tuple[str, ...] = field(default_factory=plugin_sources)

    def results(self) -> Iterator[LineOutput]:
        """Yield the results of all lines in order; the process must be connected to a cluster.

        Raises:
            RegardError: The model cannot be loaded, or a search fails.
            DecodingError: The cluster translates nothing any more.
        """
        number = 0
        for _ in self._translate_missing():
            while number < self.files.count and self.files.is_whole(number):
                yield from self.files.load_results(number)
                number += 1

    def _translate_missing(self) -> Iterator[None]:
        """Translate the missing parts, in as many passes as it takes; yield whenever parts may be whole."""
        from ray.exceptions import RayError

        yield
        while missing := self.files.missing():
            reason = "all actors were lost"
            try:
                for row in self._pass(missing):
                    _raise_error(row)
                    yield
            except RayError as error:
                reason = first_line(error)
            if self.files.missing() == missing:
                raise DecodingError(f"the cluster translates nothing: {reason}", where=OPTION, fix=NODES_FIX)
            yield

    def _pass(self, numbers: list[int]) -> Iterator[Mapping[str, Any]]:
        """Translate parts. Yield a row for each one that is whole, or whose translation failed."""
        import ray.data

        use_gpus, actors = self._pool(ray.cluster_resources())
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        context.max_errored_blocks = -1  # a part that is lost stays missing, and the others continue
        dataset = ray.data.from_items(numbers, override_num_blocks=len(numbers))
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        with warnings.catch_warnings(action="ignore"):  # advice on later versions of Ray
            translated = dataset.map(
                PartTranslator,
                fn_constructor_args=(self,),
                compute=ray.data.ActorPoolStrategy(size=min(actors, len(numbers)), max_tasks_in_flight_per_actor=AHEAD),
                num_cpus=0 if use_gpus else 1,
                num_gpus=1 if use_gpus else 0,
                max_restarts=-1,
                max_task_retries=0,
            )
        yield from translated.iter_rows()

    def _pool(self, resources: Mapping[str, float]) -> tuple[bool, int]:
        """Return whether the actors have GPUs, and how many actors there are."""
        gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 0))
        use_gpus = self.device == "cuda" or (self.device == "auto" and gpus > 0)
        if use_gpus and not gpus:
            raise ConfigError("the cluster has no GPU", where="--device", fix="set it to cpu")
        return use_gpus, self.actors or max(1, gpus if use_gpus else cpus)


class PartTranslator:
    """An actor: translates parts with one model, which is loaded with the first part."""

    def __init__(self, job: ClusterJob) -> None:
        self._job = job
        self._translator: Translator | None = None

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Translate a part. Return its number, and the error that ended it, if any."""
        number = int(row["item"])
        error = {"kind": "", "message": "", "where": "", "fix": ""}
        try:
            self._translate(number)
        except RegardError as failure:
            error = {
                "kind": type(failure).__name__,
                "message": failure.message,
                "where": failure.where or "",
                "fix": failure.fix or "",
            }
        except Exception as failure:
            message = f"{type(failure).__name__}: {failure}"
            error = {"kind": "DecodingError", "message": message, "where": f"part {number}", "fix": NODES_FIX}
        return {"part": number, **error}

    def _translate(self, number: int) -> None:
        job = self._job
        if job.files.is_whole(number):
            return
        if self._translator is None:
            torch.set_num_threads(1)
            for plugin in job.plugins:
                load_plugin(plugin)
            self._translator = job.load()
        part = job.files.load_part(number)
        options: TranslateOptions = {**job.options, "first_line": part.first, "constraints": part.constraints}
        translations = self._translator.translate(part.lines, **options)
        job.files.save_results(number, [LineOutput.of(best, align=job.align) for best in translations])


def _raise_error(row: Mapping[str, Any]) -> None:
    """Raise the error that ended a part, if any."""
    if row["kind"]:
        error = getattr(regard.errors, row["kind"], DecodingError)
        raise error(row["message"], where=row["where"] or None, fix=row["fix"] or None)
