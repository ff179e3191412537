"""Worker for test_distributed.py: runs checks in two processes and saves their results to files.

Starts the processes as torchrun does, but forks them, so that PyTorch is imported once. torchrun itself runs in
tests/end_to_end/test_processes.py.

Arguments: a folder with `single.pt`, the state of a run with one process; `quick` or `slow`, the checks to run.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # imported once, before the forks, as the next two: optimizers and FSDP import them
import torch.distributed.fsdp
import torch.distributed.tensor
from tests.unit.training.toy import Signaller, resumed_from, settings, trainer
from torch import Tensor
from torch._C._distributed_c10d import TCPStore

from regard.config.schema import TrainConfig
from regard.contract import Seq2Seq, VocabularySizes
from regard.data.batch import make_batch
from regard.errors import ConfigError, RegardError
from regard.models import ARCHITECTURES, build_model
from regard.training.averaging import copy_weights
from regard.training.distributed import ProcessGroup, full_tensor, init_distributed
from regard.training.loss import ModelWithLoss
from regard.training.state import TrainingState
from regard.training.step import TrainStep
from regard.training.trainer import Trainer

Result = dict[str, Any]
KINDS = ("ddp", "fsdp")
RECIPES: dict[str, dict[str, Any]] = {
    "adam": {},
    "muon": {"optimizer": "muon", "average_checkpoints": 2, "weight_decay": 0.1},
    "adadelta": {"optimizer": "adadelta", "accumulate": 2},
    "one row a batch": {"tokens_per_batch": 5},
}
SLOW = {  # checks that `make slow` adds; for each, the quick ones have a check that differs in one thing
    ("adadelta", "fsdp"),
    ("one row a batch", "fsdp"),
    ("muon", "fsdp"),
    ("nonfinite", "fsdp"),
    ("signalled", "fsdp"),
    *((f"gradient {name}", "fsdp") for name in ARCHITECTURES if name != "transformer2017"),
}
TORCHRUN = {  # what torchrun sets, but for ranks and port
    "MASTER_ADDR": "localhost",
    "WORLD_SIZE": "2",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
    "TORCHELASTIC_RUN_ID": "none",
}
NARROW = {"hidden_size": 16, "ffn_size": 32, "embedding_size": 16, "num_heads": 2, "dropout": 0.0}
PAIRS = [([4, 5, 6, 7], [7, 6]), ([4, 4], [8, 8, 5]), ([6], [7])]


def narrow(name: str) -> Seq2Seq:
    """Return a small model of an architecture."""
    config = ARCHITECTURES[name].presets["small"]()
    sizes = {key: value for key, value in NARROW.items() if key in type(config).model_fields}
    torch.manual_seed(1)
    return build_model(config.model_copy(update=sizes), VocabularySizes(9, 9, joint=True))


def gradient(name: str, processes: ProcessGroup, kind: str) -> dict[str, Tensor]:
    """Return the gradients of one step of an architecture on PAIRS, by name."""
    model = narrow(name)
    config = settings(parallel=kind, clip_norm=0.0, label_smoothing=0.1, optimizer="muon")
    train_step = TrainStep(model, config, processes)
    share = replace(
        make_batch(PAIRS[processes.rank :: processes.size]), global_target_tokens=make_batch(PAIRS).target_tokens
    )
    train_step.run([share], 1.0)
    return {key: full_tensor(p.grad).clone() for key, p in model.named_parameters() if p.grad is not None}


def dev_loss(model: Seq2Seq) -> dict[str, float]:
    """Return the loss of a model on PAIRS."""
    batch = make_batch(PAIRS)
    with torch.no_grad():
        return {"loss": ModelWithLoss(model, 0.0)(batch.source, batch.target_in, batch.target_out).item()}


def steps(recipe: str, processes: ProcessGroup, kind: str) -> Result:
    """Train with one of RECIPES."""
    return run_to_end(settings(parallel=kind, **RECIPES[recipe]), processes)


def run_to_end(config: TrainConfig, processes: ProcessGroup, **more: Any) -> Result:
    """Train to the end without dropout."""
    run, seen = trainer(config, processes=processes, validate=dev_loss, **{"dropout": 0.0, **more})
    return result_of(run, seen)


def result_of(run: Trainer, seen: Any) -> Result:
    end = run.run()
    return {
        "end": end,
        "step": run.progress.step,
        "losses": [progress.loss for progress in seen.progress],
        "scores": [scores["loss"] for _, scores, _ in seen.checkpoints],
        "best": [best for _, _, best in seen.checkpoints],
        "weights": copy_weights(run.model),
        "states": [{"tensors": saved.training.tensors, "values": saved.training.values} for saved in seen.saved],
    }


def resume(state: Result, processes: ProcessGroup, kind: str) -> Result:
    """Resume from a state and train to the end without dropout."""
    run, seen = resumed_from(
        settings(parallel=kind), TrainingState(**state), processes=processes, validate=dev_loss, dropout=0.0
    )
    return result_of(run, seen)


def exactly(processes: ProcessGroup, kind: str) -> Result:
    """Train with dropout, once without interruption and once resumed from the first checkpoint."""
    config = settings(parallel=kind, optimizer="muon", average_checkpoints=2)
    whole_run = run_to_end(config, processes, dropout=0.2)
    state: Result = processes.broadcast(whole_run["states"][0] if processes.is_main else {})
    again, seen = resumed_from(config, TrainingState(**state), processes=processes, validate=dev_loss)
    return {"whole": whole_run, "parts": result_of(again, seen)}


def nonfinite(processes: ProcessGroup, kind: str) -> Result:
    """Return NaN logits in the last process only, in steps 3 to 5."""
    run, seen = trainer(settings(parallel=kind), processes=processes, validate=dev_loss)
    readout, step = run.model.decoder.readout, run._step
    moved: list[bool] = []

    def poisoned(features: Tensor) -> Tensor:
        bad = processes.rank == processes.size - 1 and run.progress.step + 1 in range(3, 6)
        return readout(features) * (math.nan if bad else 1.0)

    def watched(batches: Iterator[Any]) -> None:
        before = copy_weights(run.model)
        step(batches)
        moved.append(any(not torch.equal(before[name], weight) for name, weight in copy_weights(run.model).items()))

    run.model.decoder.readout = poisoned  # type: ignore[method-assign]
    run._step = watched  # type: ignore[method-assign]
    return {**result_of(run, seen), "moved": moved}


def always_nonfinite(processes: ProcessGroup, _: str) -> Result:
    """Return NaN logits in every step, until training fails."""
    run, _seen = trainer(settings(max_steps=100, checkpoint_every=100), processes=processes)
    readout = run.model.decoder.readout
    run.model.decoder.readout = lambda features: readout(features) * math.nan  # type: ignore[method-assign]
    try:
        run.run()
    except RegardError as error:
        return {"kind": type(error).__name__, "message": error.message}
    return {}


def signalled(processes: ProcessGroup, kind: str) -> Result:
    """Send SIGTERM to the last process after step 5, and, as torchrun may do, to the other one after the end."""
    last = processes.rank == processes.size - 1
    result = run_to_end(settings(parallel=kind), processes, signaller=Signaller(signal.SIGTERM, [5] if last else []))
    if not last:
        signal.raise_signal(signal.SIGTERM)
    return result


def clocks(processes: ProcessGroup, _: str) -> Result:
    """Let the clock of the last process say that its time is over."""
    run, seen = trainer(settings(max_minutes=60.0, schedule="cosine"), processes=processes, validate=dev_loss)
    run.progress.seconds = 0.0 if processes.is_main else 1e6
    return result_of(run, seen)


def different_scores(processes: ProcessGroup, _: str) -> Result:
    """Let the loss fall in the main process and rise in the other, with a patience of one checkpoint."""
    scores = iter(range(100))
    sign = -1 if processes.is_main else 1
    run, seen = trainer(
        settings(patience=1), processes=processes, validate=lambda _: {"loss": float(sign * next(scores))}
    )
    return result_of(run, seen)


def main_first(processes: ProcessGroup, _: str) -> Result:
    """Fail in the main process."""

    def work() -> None:
        raise ConfigError("it is wrong" if processes.is_main else "never raised")

    try:
        processes.main_process_first(work)
    except RegardError as error:
        return {
            "kind": type(error).__name__,
            "message": error.message,
            "then": processes.main_process_first(lambda: processes.rank),
        }
    return {}


def main(folder: Path, choice: str) -> None:
    alone = torch.load(folder / "single.pt")
    checks: dict[str, Callable[[ProcessGroup, str], Result]] = {
        **{recipe: partial(steps, recipe) for recipe in RECIPES},
        **{f"gradient {name}": partial(gradient, name) for name in ARCHITECTURES},
        "resume": partial(resume, alone),
        "exactly": exactly,
        "nonfinite": nonfinite,
        "signalled": signalled,
    }
    once = {
        "always nonfinite": always_nonfinite,
        "clocks": clocks,
        "different scores": different_scores,
        "main first": main_first,
    }
    with init_distributed() as processes, init_distributed() as again:
        assert again is processes
        for name, check in checks.items():
            for kind in KINDS:
                if ((name, kind) in SLOW) == (choice == "slow"):
                    torch.save(check(processes, kind), folder / f"{name}-{kind}-{processes.rank}.pt")
        for name, check in once.items() if choice == "quick" else ():
            torch.save(check(processes, "ddp"), folder / f"{name}-{processes.rank}.pt")
    with init_distributed() as processes:
        torch.save({"all": processes.gather(processes.rank)}, folder / f"later-{processes.rank}.pt")


def fork(rank: int, act: Callable[[], None]) -> tuple[int, int]:
    """Start a process that acts once it gets the port of the store. Return its id, and the pipe to send the port to."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(reader)
        return child, writer
    os.close(writer)
    os.environ.update(TORCHRUN, RANK=str(rank), LOCAL_RANK=str(rank), MASTER_PORT=os.read(reader, 9).decode())
    status = 1
    try:
        act()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def launch(act: Callable[[], None]) -> int:
    """Run `act` in two processes with the environment of torchrun. If one fails, stop the other and return 1."""
    pipes = dict(fork(rank, act) for rank in range(2))
    store = TCPStore("localhost", 0, is_master=True, wait_for_workers=False)  # it starts a thread
    for writer in pipes.values():
        os.write(writer, str(store.port).encode())
    running = set(pipes)
    while running:
        child, status = os.wait()
        running.remove(child)
        if status:
            for pid in running:
                os.kill(pid, signal.SIGKILL)
            return 1
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(launch(partial(main, Path(sys.argv[1]), sys.argv[2])))
