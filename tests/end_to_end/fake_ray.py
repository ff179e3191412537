"""A fake of Ray in one process, so that the suite tests what regard does with it where Ray is not installed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


class RayError(Exception):
    """As `ray.exceptions.RayError`."""


@dataclass
class FakeCluster:
    """A cluster that loses some tasks. It does those of Ray Data in passes, and others when their results are read.

    Attributes:
        lost: The parts that are lost in each pass, in order of the passes.
        breaks: Whether a pass with lost parts ends with an error.
        passes: The parts of each pass so far.
        options: The options of `Dataset.map` in the last pass.
        resources: What the nodes have.
        lost_tasks: The tasks whose nodes are lost too often, by number.
        tasks: How many tasks there were so far.
        most_pending: The most tasks whose results had not been read.
    """

    lost: list[set[int]] = field(default_factory=list)
    breaks: bool = False
    passes: list[list[int]] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, float] = field(default_factory=lambda: {"CPU": 2.0})
    lost_tasks: set[int] = field(default_factory=set)
    tasks: int = 0
    most_pending: int = 0
    _pending: int = 0

    def remote(self, function: Callable[..., Any]) -> Any:
        def submit(*arguments: Any) -> Callable[[], Any]:
            number = self.tasks
            self.tasks, self._pending = self.tasks + 1, self._pending + 1
            self.most_pending = max(self.most_pending, self._pending)

            def result() -> Any:
                self._pending -= 1
                if number in self.lost_tasks:
                    raise RayError("a node was lost\nand more lines")
                return function(*arguments)

            return result

        def options(**values: Any) -> Any:
            self.options = values
            return SimpleNamespace(remote=submit)

        return SimpleNamespace(options=options)

    def wait(self, references: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        return (references, []) if self.resources.get("CPU") else ([], references)

    def from_items(self, items: Sequence[int], override_num_blocks: int) -> Any:
        assert override_num_blocks == len(items)
        lost = self.lost[len(self.passes)] if len(self.passes) < len(self.lost) else set()
        self.passes.append(list(items))

        def run(actor: Any, fn_constructor_args: tuple[Any, ...], **options: Any) -> Any:
            self.options = options
            translate = actor(*fn_constructor_args)
            return SimpleNamespace(iter_rows=lambda: self._rows(translate, items, lost))

        return SimpleNamespace(map=run)

    def _rows(self, translate: Callable[[Any], Any], items: Sequence[int], lost: set[int]) -> Iterator[Any]:
        for item in reversed(items):  # Ray Data gives no order
            if item not in lost:
                yield translate({"item": item})
        if lost and self.breaks:
            raise RayError("a node was lost\nand more lines")


def install(monkeypatch: pytest.MonkeyPatch, cluster: FakeCluster, connect: Callable[..., None] | None = None) -> None:
    """Make `import ray` return a fake, connected to `cluster`."""
    ray, data, exceptions = (ModuleType(name) for name in ("ray", "ray.data", "ray.exceptions"))
    vars(exceptions).update(RayError=RayError)
    context = SimpleNamespace()
    vars(data).update(
        from_items=cluster.from_items,
        ActorPoolStrategy=lambda **options: options,
        DataContext=SimpleNamespace(get_current=lambda: context),
    )
    vars(ray).update(
        data=data,
        exceptions=exceptions,
        is_initialized=lambda: False,
        init=connect or (lambda *_, **__: None),
        shutdown=lambda: None,
        cluster_resources=lambda: cluster.resources,
        remote=cluster.remote,
        wait=cluster.wait,
        get=lambda reference: reference(),
    )
    for module in (ray, data, exceptions):
        monkeypatch.setitem(sys.modules, module.__name__, module)
