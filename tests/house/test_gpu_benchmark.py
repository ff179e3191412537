"""The GPU benchmark: its smoke run on a CPU, its switches, and what it says of what fails."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from regard.contract import Seq2Seq
from regard.data.batch import Batch, make_batch
from regard.training import loss
from regard.training.loss import ModelWithLoss

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
BATCH = make_batch([([5, 6, 7], [8, 9]), ([10], [11, 12, 13, 14]), ([5, 9, 9, 9, 4, 8], [6])])


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that imports a module of the benchmark."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


@pytest.fixture
def gpu(stages: Any) -> Iterator[Any]:
    yield stages("gpu")


def test_the_smoke_run_measures_every_system(
    gpu: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = gpu.train.__globals__
    is_compiled = [way.has_compiled_layers or way.has_compiled_loss for way in names["SWITCHES"]]  # takes seconds
    ways = [way for way, compiled in zip(names["SWITCHES"], is_compiled, strict=True) if not compiled]
    monkeypatch.setitem(names, "SWITCHES", ways)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--smoke", "--out", str(tmp_path)])
    gpu.main()
    table = capsys.readouterr().out
    assert table == (tmp_path / "gpu.md").read_text()
    rows = json.loads((tmp_path / "gpu.json").read_text())["rows"]
    assert {row["stage"] for row in rows} == set(gpu.STAGES)
    failed = {row["system"]: row["error"] for row in rows if row["error"]}
    assert failed.pop("pytest -m gpu") == "RuntimeError: there is no GPU"
    assert all(error.startswith("not installed") for error in failed.values()), failed
    speeds = [
        row["values"]["target tokens/s"] for row in rows if row["stage"].startswith("training") and not row["error"]
    ]
    assert len(speeds) >= 8
    assert all(speed > 0 for speed in speeds)
    greedy = [row for row in rows if "float32: greedy" in row["system"] and not row["error"]]
    assert len(greedy) >= 4
    assert {row["values"]["same targets"] for row in greedy} == {"100%"}  # all systems have the same weights


def loss_and_gradients(model: Seq2Seq, batch: Batch) -> tuple[float, list[Tensor]]:
    model.zero_grad()
    total = ModelWithLoss(model, 0.1)(batch.source, batch.target_in, batch.target_out, batch.target_tokens)
    total.backward()
    return total.item(), [weight.grad for weight in model.parameters() if weight.grad is not None]


@pytest.mark.parametrize("name", ["transformer2017", "modern"])
def test_without_padding_the_loss_is_the_same(stages: Any, name: str) -> None:
    switches, task = stages("on_gpu.switches"), stages("on_gpu.task").smoke_task(CPU)
    model = task.model(name).double().eval()
    expected, gradients = loss_and_gradients(model, BATCH)
    with switches.applied(switches.Switches("", is_packed=True), model, task) as prepare:
        batch = prepare(BATCH)
        assert batch.source.shape != batch.target_in.shape
        packed, packed_gradients = loss_and_gradients(model, batch)
    assert packed == pytest.approx(expected, rel=1e-12)
    for actual, gradient in zip(packed_gradients, gradients, strict=True):
        torch.testing.assert_close(actual, gradient)


def test_the_closed_form_of_the_loss_is_that_of_regard(stages: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    switches, task = stages("on_gpu.switches"), stages("on_gpu.task").smoke_task(CPU)
    model = task.model("transformer2017").eval()
    monkeypatch.setattr(loss, "CHUNK_ROWS", 4)
    expected, gradients = loss_and_gradients(model, BATCH)
    monkeypatch.setattr(loss, "_loss_and_gradients", switches._loss_with(switches.loss_and_logits_gradient))
    actual, closed_form_gradients = loss_and_gradients(model, BATCH)
    assert actual == pytest.approx(expected, rel=1e-5)
    for closed_form, gradient in zip(closed_form_gradients, gradients, strict=True):
        torch.testing.assert_close(closed_form, gradient, rtol=1e-4, atol=1e-5)


def test_the_cost_counts_each_weight_once_for_each_token_that_passes_it(stages: Any) -> None:
    """PyTorch counts the same products for a batch without padding; on a CPU it does not count attention."""
    from torch.utils.flop_counter import FlopCounterMode

    module = stages("on_gpu.task")
    task = module.smoke_task(CPU)
    batch = make_batch([([5, 6, 7], [8, 9, 4]), ([10, 11, 12], [11, 12, 13])])
    for name in module.ARCHITECTURE_NAMES:
        model = task.model(name).double()
        cost = module.Cost.of_model(model, task.config(name))
        with FlopCounterMode(display=False) as counter:
            model(batch.source, batch.target_in).square().sum().backward()
        weights = replace(cost, encoder_layers=0, decoder_layers=0).of(batch)
        assert weights <= counter.get_total_flops() <= 1.1 * weights, name
        assert weights < cost.of(batch) < 1.1 * weights


def fail(error: Exception) -> None:
    raise error


def test_a_failure_is_a_row_of_the_table(stages: Any) -> None:
    module = stages("on_gpu.report")
    rows: list[Any] = []
    report = module.Report("a stage", rows.append)
    with report.attempt("good") as values:
        values.update({"tokens/s": 12345, "waits": None})
    errors = {"bad": ValueError("no | such\nthing"), "missing": ImportError("no module")}
    for system, error in errors.items():
        with report.attempt(system):
            fail(error)
    assert module.to_markdown({"device": "d"}, rows).splitlines() == [
        "- device: d",
        "",
        "### a stage",
        "",
        "| system | tokens/s | waits | error |",
        "| --- | ---: | ---: | --- |",
        "| good | 12,345 |  |  |",
        "| bad |  |  | ValueError: no / such thing |",
        "| missing |  |  | not installed: ImportError: no module |",
    ]


@pytest.mark.parametrize("is_slow", [False, True])
def test_a_stage_that_fails_keeps_its_rows(
    gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_slow: bool
) -> None:
    script, written = tmp_path / "worker.py", tmp_path / "written"
    row = json.dumps({"stage": "decoding", "system": "a", "values": {"tokens/s": 1}})
    script.write_text(
        f"""
import sys, time
from pathlib import Path
Path(sys.argv[3]).write_text({row!r})
Path({str(written)!r}).touch()
time.sleep(600 if {is_slow} else 0)
sys.exit("it broke")
"""
    )

    class Process(subprocess.Popen[bytes]):
        def wait(self, timeout: float | None = None) -> int:
            while is_slow and timeout and not written.exists():
                time.sleep(0.01)
            return super().wait(0.01 if is_slow and timeout else None)

    monkeypatch.setattr(gpu, "__file__", str(script))
    monkeypatch.setattr(gpu.subprocess, "Popen", Process)
    first, last = gpu.run_isolated("decoding", 7.0)
    assert first.values == {"tokens/s": 1}
    expected = "it was stopped after 7 seconds; last output: none"
    assert last.error == (expected if is_slow else "it ended with status 1; last output: it broke")
