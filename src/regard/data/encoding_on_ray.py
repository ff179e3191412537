"""Encode pairs of text as token ids on a Ray cluster.

This process reads the pairs and sends them in chunks, a few for each CPU of the cluster. Encoded chunks return in the
order of the corpus, so what is stored is what one process stores, and is continued like that. Ray encodes a chunk again
if its node is lost before the chunk has arrived here.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from regard.corpus.corpus import Pair
from regard.data.encoding import Texts, encode_texts, text_chunks
from regard.data.store_writer import Chunk
from regard.errors import WorkerLost
from regard.plugins.loading import load_plugin
from regard.plugins.registry import plugin_sources
from regard.ray_cluster import OPTION, first_line
from regard.tokenizers.base import Tokenizers

AHEAD = 2  # chunks sent for each CPU, so that it is never idle
RETRIES = 5  # for a chunk whose process or node is lost
POLL_INTERVAL = 5.0  # seconds between two looks at what is left of the cluster
NO_CPU_LIMIT = 60.0  # seconds that a cluster may be without any CPU
CONTINUE = "run `regard train --resume`, with or without --ray"
NODES_FIX = "install the same version of regard on every node, and share the folder of the run"


def encode_on_ray(pairs: Iterable[Pair], folder: Path) -> Iterator[Chunk]:
    """Encode pairs in chunks of CHUNK_PAIRS on the cluster that this process is connected to; see `encode`.

    Args:
        pairs: The pairs.
        folder: The folder with the tokenizers, which all nodes share.

    Raises:
        WorkerLost: The cluster encodes nothing any more, or a node cannot encode.
    """
    import ray

    job = (str(folder.absolute()), plugin_sources(), uuid.uuid4().hex)
    task = ray.remote(encode_chunk).options(num_cpus=1, max_retries=RETRIES)
    pending = deque[Any]()
    for texts in text_chunks(iter(pairs)):
        while len(pending) >= AHEAD * max(1, _cpus()):
            yield _result(pending.popleft())
        pending.append(task.remote(job, texts))
    while pending:
        yield _result(pending.popleft())


def encode_chunk(job: tuple[str, tuple[str, ...], str], texts: Texts) -> Chunk | str:
    """Encode the texts of a chunk on a node. Return a message instead if that fails."""
    try:
        return encode_texts(_load_tokenizers(*job), texts)
    except Exception as error:  # Ray would return it as another class
        return f"{type(error).__name__}: {error}"


@lru_cache(maxsize=1)
def _load_tokenizers(folder: str, plugins: tuple[str, ...], job: str) -> Tokenizers:
    """Load the tokenizers once for each process of a job: another job may have others in the same folder."""
    for plugin in plugins:
        load_plugin(plugin)
    return Tokenizers.load(Path(folder))


def _cpus() -> int:
    import ray

    return int(ray.cluster_resources().get("CPU", 0))


def _result(reference: Any) -> Chunk:
    """Wait for an encoded chunk. Raises WorkerLost."""
    import ray
    from ray.exceptions import RayError

    deadline = time.monotonic() + NO_CPU_LIMIT
    try:
        while not ray.wait([reference], timeout=POLL_INTERVAL)[0]:
            if _cpus():
                deadline = time.monotonic() + NO_CPU_LIMIT
            elif time.monotonic() > deadline:
                raise WorkerLost("the cluster has no CPU any more", where=OPTION, fix=CONTINUE)
        result: Chunk | str = ray.get(reference)
    except RayError as error:
        raise WorkerLost(f"the cluster encodes nothing: {first_line(error)}", where=OPTION, fix=CONTINUE) from None
    if isinstance(result, str):
        raise WorkerLost(f"a node cannot encode: {result}", where=OPTION, fix=f"{NODES_FIX}; then {CONTINUE}")
    return result
