"""Two processes take the same steps as one, stop and skip steps together, and resume each other's states."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from _pytest.mark.structures import ParameterSet
from tests.unit.training import distributed_worker as worker
from tests.unit.training.distributed_worker import KINDS, RECIPES, SLOW, Result
from tests.unit.training.toy import resumed_from, same, settings
from torch._C._distributed_c10d import HashStore

from regard.errors import ConfigError, PeerFailed
from regard.models import ARCHITECTURES
from regard.training import distributed
from regard.training.distributed import SINGLE_PROCESS, ProcessGroup, from_environment
from regard.training.divergence import MAX_NONFINITE_STEPS
from regard.training.state import TrainingState

ROOT = Path(__file__).parents[3]
PATIENCE = 900  # seconds; reached only by processes that wait for each other forever
Load = Callable[..., list[Result]]


@pytest.fixture(scope="module")
def single() -> Result:
    """A run with one process."""
    return worker.run_to_end(settings(), SINGLE_PROCESS)


@pytest.fixture(scope="module")
def load(single: Result, tmp_path_factory: pytest.TempPathFactory) -> Load:
    """Run the checks in two processes; return a function that loads the results of one by rank."""
    folder = tmp_path_factory.mktemp("distributed")
    run_processes(single, folder, "quick")

    def results(*names: str) -> list[Result]:
        if names in SLOW and not list(folder.glob("-".join(names) + "-*.pt")):
            run_processes(single, folder, "slow")
        return [torch.load(folder / f"{'-'.join(names)}-{rank}.pt") for rank in range(2)]

    return results


def run_processes(single: Result, folder: Path, choice: str) -> None:
    torch.save(single["states"][0], folder / "single.pt")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"}
    environment["PYTHONFAULTHANDLER"] = "1"  # a crash of a process then says where
    command = [sys.executable, worker.__file__, str(folder), choice]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as job:
        try:
            _, err = job.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            job.terminate()  # it ends its processes
            raise
    assert job.returncode == 0, err


def with_each_kind(names: Iterable[str], check: str = "") -> list[ParameterSet]:
    """Return each name with each kind; those of SLOW are marked."""
    return [
        pytest.param(name, kind, marks=[pytest.mark.slow] if (check + name, kind) in SLOW else [])
        for name in names
        for kind in KINDS
    ]


def assert_close(first: Result, second: Result, *, rtol: float = 1e-4) -> None:
    """Compare losses and scores."""
    assert first["step"] == second["step"]
    assert first["losses"] == pytest.approx(second["losses"], rel=rtol)
    assert first["scores"] == pytest.approx(second["scores"], rel=rtol)


@pytest.mark.parametrize(("recipe", "kind"), with_each_kind(RECIPES))
def test_two_processes_take_the_same_steps_as_one(load: Load, recipe: str, kind: str) -> None:
    expected = worker.steps(recipe, SINGLE_PROCESS, kind)
    both = load(recipe, kind)
    assert len(expected["losses"]) == 9
    for result in both:
        assert_close(result, expected)
        for name, weight in expected["weights"].items():
            torch.testing.assert_close(result["weights"][name], weight, rtol=0, atol=1e-6, msg=name)
    assert same(both[0]["weights"], both[1]["weights"])
    assert [len(result["states"]) for result in both] == [3, 0], "only the main process saves"
    assert both[0]["states"][0]["tensors"].keys() == {*expected["states"][0]["tensors"], "random/1/cpu"}


@pytest.mark.parametrize(("name", "kind"), with_each_kind(ARCHITECTURES, "gradient "))
def test_the_gradient_of_each_architecture(load: Load, name: str, kind: str) -> None:
    expected = worker.gradient(name, SINGLE_PROCESS, kind)
    for result in load(f"gradient {name}", kind):
        assert result.keys() == expected.keys() == dict(worker.narrow(name).named_parameters()).keys()
        for key, gradient in result.items():
            torch.testing.assert_close(gradient, expected[key], rtol=1e-4, atol=1e-6, msg=key)


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_resume_a_run_of_one(load: Load, single: Result, kind: str) -> None:
    for result in load("resume", kind):
        assert result["step"] == 9
        assert result["scores"] == pytest.approx(single["scores"][1:], rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_one_process_resumes_a_run_of_two(load: Load, single: Result, kind: str) -> None:
    state = TrainingState(**load("adam", kind)[0]["states"][0])
    assert state.values["processes"] == 2
    again, seen = resumed_from(settings(), state, dropout=0.0, validate=worker.dev_loss)
    assert worker.result_of(again, seen)["scores"] == pytest.approx(single["scores"][1:], rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_resume_a_run_of_two_bit_for_bit(load: Load, kind: str) -> None:
    for result in load("exactly", kind):
        assert same(result["whole"]["weights"], result["parts"]["weights"])
        assert result["whole"]["scores"][1:] == result["parts"]["scores"]


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_differs_between_processes(load: Load, kind: str) -> None:
    tensors = load("exactly", kind)[0]["whole"]["states"][0]["tensors"]
    assert not torch.equal(tensors["random/cpu"], tensors["random/1/cpu"])


@pytest.mark.parametrize(("name", "kind"), with_each_kind(["nonfinite"]))
def test_all_processes_skip_the_same_steps(load: Load, name: str, kind: str) -> None:
    for result in load(name, kind):
        assert result["moved"] == [True, True, False, False, False, True, True, True, True]
        assert result["end"] == "steps"


def test_all_processes_fail_and_one_reports_the_error(load: Load) -> None:
    first, second = load("always nonfinite")
    assert (first["kind"], second["kind"]) == ("TrainingError", "PeerFailed")
    assert first["message"].partition(" (")[0] == second["message"].partition(" (")[0]  # each process names its lines
    assert f"in {MAX_NONFINITE_STEPS} steps in a row" in first["message"]


@pytest.mark.parametrize(("name", "kind"), with_each_kind(["signalled"]))
def test_all_processes_stop_after_a_signal_to_one(load: Load, name: str, kind: str) -> None:
    both = load(name, kind)
    assert [(result["end"], result["step"]) for result in both] == 2 * [("interrupted", 5)]
    assert [state["values"]["step"] for state in both[0]["states"]] == [3, 5]


def test_the_clock_of_the_main_process_counts(load: Load) -> None:
    first, second = load("clocks")
    assert [result["end"] for result in (first, second)] == ["steps", "steps"]
    assert same(first["weights"], second["weights"])


def test_the_scores_of_the_main_process_count(load: Load) -> None:
    for result in load("different scores"):
        assert (result["end"], result["best"]) == ("steps", [True, True, True])


def test_an_error_in_the_main_process_is_raised_in_all(load: Load) -> None:
    first, second = load("main first")
    assert first == {"kind": "ConfigError", "message": "it is wrong", "then": 0}
    assert second == {"kind": "PeerFailed", "message": "it is wrong", "then": 1}


def test_processes_may_connect_again(load: Load) -> None:
    assert load("later") == [{"all": [0, 1]}, {"all": [0, 1]}]


TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost"}


@pytest.mark.parametrize("missing", TORCHRUN)
def test_without_torchrun_there_is_one_process(missing: str) -> None:
    assert from_environment({key: value for key, value in TORCHRUN.items() if key != missing}) == SINGLE_PROCESS


def test_the_process_group_of_torchruns_variables() -> None:
    job = {"TORCHELASTIC_RUN_ID": "mine", "TORCHELASTIC_RESTART_COUNT": "2"}
    assert from_environment({**TORCHRUN, **job}) == ProcessGroup(3, 4, 1, "mine", 2)
    unnamed = from_environment({**TORCHRUN, "TORCHELASTIC_RUN_ID": "none"})
    assert unnamed.restarts == 0
    assert unnamed.job.endswith(f":{os.getppid()}")


def test_collectives_of_a_single_process() -> None:
    assert SINGLE_PROCESS.sum(1.5, 2) == [1.5, 2]
    assert SINGLE_PROCESS.gather("x") == ["x"]
    assert SINGLE_PROCESS.broadcast("x") == SINGLE_PROCESS.main_process_first(lambda: "x") == "x"
    error: Any = PeerFailed("x")
    assert SINGLE_PROCESS.report_once(error) is error


def agreed(store: HashStore, restarts: Sequence[int]) -> list[tuple[str, int]]:
    """Return what the processes of a job agree on, the main process last to start."""
    with ThreadPoolExecutor(len(restarts)) as pool:
        groups = [ProcessGroup(rank, len(restarts), restarts=count) for rank, count in enumerate(restarts)]
        futures = [pool.submit(distributed.agree_on_prefix, store, group) for group in reversed(groups)]
        return [future.result(PATIENCE) for future in futures]


def test_all_processes_agree_on_a_prefix_that_no_earlier_connection_had() -> None:
    """torchrun keeps its store over restarts, and a machine that replaces a lost one counts its restarts from 0."""
    store = HashStore()
    prefixes = []
    for restarts in ((0, 0, 0), (0, 0, 0), (1, 0, 1), (0, 2, 0)):
        results = agreed(store, restarts)
        assert len(set(results)) == 1
        prefix, largest = results[0]
        assert largest == max(restarts)
        prefixes.append(prefix)
    assert len(set(prefixes)) == len(prefixes)


def test_a_connection_uses_the_prefix_and_the_largest_restart_count(monkeypatch: pytest.MonkeyPatch) -> None:
    shared, stores = HashStore(), []
    monkeypatch.setattr(distributed, "rendezvous", lambda _: iter([(shared, 0, 2)]))
    monkeypatch.setattr(distributed, "agree_on_prefix", lambda store, processes: ("new", 3))
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda *_, store, **__: stores.append(store))
    assert distributed._connect(ProcessGroup(0, 2, restarts=1)).restarts == 3
    stores[0].set("address", "here")
    assert shared.check(["regard/new/address"])


def test_each_process_has_a_separate_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    second, third = (ProcessGroup(rank, 3, rank) for rank in (1, 2))
    assert second.device("auto") == torch.device("cuda", 1)
    assert second.device("cpu") == torch.device("cpu")
    assert chosen == [1]
    with pytest.raises(ConfigError, match="no cuda device for process 2"):
        third.device("cuda")
    assert SINGLE_PROCESS.device("cuda") == torch.device("cuda")
