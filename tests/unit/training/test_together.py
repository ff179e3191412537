"""Two processes make the steps of one, agree on all that ends or skips one, and take each other's states."""

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.training import together
from tests.unit.training.together import KINDS, RECIPES, Found
from tests.unit.training.toy import gone_on, same, settings
from torch._C._distributed_c10d import HashStore

from regard.errors import ConfigError, PeerFailed
from regard.models import ARCHITECTURES
from regard.training import distributed
from regard.training.distributed import SINGLE_PROCESS, ProcessGroup, from_environment
from regard.training.divergence import MAX_NONFINITE_STEPS
from regard.training.state import TrainingState

ROOT = Path(__file__).parents[3]
PATIENCE = 900  # seconds; only processes that wait for each other for ever take so long
Finder = Callable[..., list[Found]]


@pytest.fixture(scope="module")
def alone() -> Found:
    """A run of one process."""
    return together.run_of(settings(), SINGLE_PROCESS)


@pytest.fixture(scope="module")
def found(alone: Found, tmp_path_factory: pytest.TempPathFactory) -> Finder:
    """What two processes found, in their order, by the names of together.py."""
    folder = tmp_path_factory.mktemp("together")
    torch.save(alone["states"][0], folder / "alone.pt")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"}
    command += [together.__file__, str(folder)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as job:
        try:
            _, said = job.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            job.terminate()  # it ends its processes
            raise
    assert job.returncode == 0, said
    return lambda *names: [torch.load(folder / f"{'-'.join(names)}-{rank}.pt") for rank in range(2)]


def assert_close(first: Found, second: Found, *, rtol: float = 1e-4) -> None:
    """The course of the loss, and the scores."""
    assert first["step"] == second["step"]
    assert first["losses"] == pytest.approx(second["losses"], rel=rtol)
    assert first["scores"] == pytest.approx(second["scores"], rel=rtol)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_two_make_the_steps_of_one(found: Finder, recipe: str, kind: str) -> None:
    expected = together.steps(recipe, SINGLE_PROCESS, kind)
    both = found(recipe, kind)
    assert len(expected["losses"]) == 9
    for each in both:
        assert_close(each, expected)
        for name, weight in expected["weights"].items():
            torch.testing.assert_close(each["weights"][name], weight, rtol=0, atol=1e-6, msg=name)
    assert same(both[0]["weights"], both[1]["weights"])
    assert [len(each["states"]) for each in both] == [3, 0], "only the first one saves"
    assert both[0]["states"][0]["tensors"].keys() == {*expected["states"][0]["tensors"], "random/1/cpu"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_gradient_of_each_architecture(found: Finder, name: str, kind: str) -> None:
    expected = together.gradient(name, SINGLE_PROCESS, kind)
    for each in found(f"gradient {name}", kind):
        assert each.keys() == expected.keys() == dict(together.narrow(name).named_parameters()).keys()
        for key, gradient in each.items():
            torch.testing.assert_close(gradient, expected[key], rtol=1e-4, atol=1e-6, msg=key)


@pytest.mark.parametrize("kind", KINDS)
def test_two_go_on_from_one(found: Finder, alone: Found, kind: str) -> None:
    for each in found("resume", kind):
        assert each["step"] == 9
        assert each["scores"] == pytest.approx(alone["scores"][1:], rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_one_goes_on_from_two(found: Finder, alone: Found, kind: str) -> None:
    state = TrainingState(**found("adam", kind)[0]["states"][0])
    assert state.values["processes"] == 2
    again, seen = gone_on(settings(), state, dropout=0.0, validate=together.of_model)
    assert together.told(again, seen)["scores"] == pytest.approx(alone["scores"][1:], rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_two_go_on_from_two_bit_for_bit(found: Finder, kind: str) -> None:
    for each in found("exactly", kind):
        assert same(each["whole"]["weights"], each["parts"]["weights"])
        assert each["whole"]["scores"][1:] == each["parts"]["scores"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_draws_its_own_dropout(found: Finder, kind: str) -> None:
    tensors = found("exactly", kind)[0]["whole"]["states"][0]["tensors"]
    assert not torch.equal(tensors["random/cpu"], tensors["random/1/cpu"])


@pytest.mark.parametrize("kind", KINDS)
def test_no_process_skips_a_step_alone(found: Finder, kind: str) -> None:
    for each in found("no number", kind):
        assert each["moved"] == [True, True, False, False, False, True, True, True, True]
        assert each["end"] == "steps"


def test_both_give_up_and_one_says_why(found: Finder) -> None:
    first, second = found("never a number")
    assert (first["kind"], second["kind"]) == ("TrainingError", "PeerFailed")
    assert first["what"].partition(" (")[0] == second["what"].partition(" (")[0]  # each names its own lines
    assert f"in {MAX_NONFINITE_STEPS} steps on end" in first["what"]


@pytest.mark.parametrize("kind", KINDS)
def test_both_stop_where_one_was_asked_to(found: Finder, kind: str) -> None:
    both = found("signalled", kind)
    assert [(each["end"], each["step"]) for each in both] == 2 * [("interrupted", 5)]
    assert [state["values"]["step"] for state in both[0]["states"]] == [3, 5]


def test_the_first_ones_clock_counts(found: Finder) -> None:
    first, second = found("clocks")
    assert [each["end"] for each in (first, second)] == ["steps", "steps"]
    assert same(first["weights"], second["weights"])


def test_the_first_ones_scores_count(found: Finder) -> None:
    for each in found("opinions"):
        assert (each["end"], each["best"]) == ("steps", [True, True, True])


def test_what_the_first_cannot_do_the_others_do_not_try(found: Finder) -> None:
    first, second = found("in turn")
    assert first == {"kind": "ConfigError", "what": "it is wrong", "then": 0}
    assert second == {"kind": "PeerFailed", "what": "it is wrong", "then": 1}


def test_they_may_part_and_meet_again(found: Finder) -> None:
    assert found("later") == [{"all": [0, 1]}, {"all": [0, 1]}]


TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost"}


@pytest.mark.parametrize("missing", TORCHRUN)
def test_without_torchrun_there_is_one_process(missing: str) -> None:
    assert from_environment({key: value for key, value in TORCHRUN.items() if key != missing}) == SINGLE_PROCESS


def test_who_is_who_by_torchruns_variables() -> None:
    job = {"TORCHELASTIC_RUN_ID": "mine", "TORCHELASTIC_RESTART_COUNT": "2"}
    assert from_environment({**TORCHRUN, **job}) == ProcessGroup(3, 4, 1, "mine", 2)
    unnamed = from_environment({**TORCHRUN, "TORCHELASTIC_RUN_ID": "none"})
    assert unnamed.restarts == 0
    assert unnamed.job.endswith(f":{os.getppid()}")


def test_one_process_agrees_with_itself() -> None:
    assert SINGLE_PROCESS.sum(1.5, 2) == [1.5, 2]
    assert SINGLE_PROCESS.gather("x") == ["x"]
    assert SINGLE_PROCESS.broadcast("x") == SINGLE_PROCESS.main_process_first(lambda: "x") == "x"
    error: Any = PeerFailed("x")
    assert SINGLE_PROCESS.report_once(error) is error


@pytest.mark.parametrize("second", ["later", "anew"])
def test_no_meeting_reads_the_addresses_of_another(second: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, stores = HashStore(), []
    monkeypatch.setattr(distributed, "rendezvous", lambda _: iter([(kept, 0, 2)]))
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda *_, store, **__: stores.append(store))
    for restarts in (0, int(second == "anew")):
        if second == "anew":
            monkeypatch.setattr(distributed, "_connections", count())  # as in a process that has just begun
        distributed._connect(ProcessGroup(0, 2, restarts=restarts))
        assert not stores[-1].check(["address"])
        stores[-1].set("address", "here")


def test_each_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
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
