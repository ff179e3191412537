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
    """A cluster that loses some tasks.

    Attributes:
        lost: The parts that are lost in each pass, in order of the passes.
        breaks: Whether a pass with lost parts ends with an error.
        passes: The parts of each pass so far.
        options: The options of `Dataset.map` in the last pass.
        resources: What the nodes have.
    """

    lost: list[set[int]] = field(default_factory=list)
    breaks: bool = False
    passes: list[list[int]] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, float] = field(default_factory=lambda: {"CPU": 2.0})

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
    )
    for module in (ray, data, exceptions):
        monkeypatch.setitem(sys.modules, module.__name__, module)
