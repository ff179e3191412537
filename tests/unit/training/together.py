"""What two processes do together, each part of it told to a file a process; test_together.py starts and judges them.

Argument: a folder that has `alone.pt`, a state of one process.
"""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tests.unit.training.toy import Signaller, gone_on, settings, trainer
from torch import Tensor

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

Found = dict[str, Any]
KINDS = ("ddp", "fsdp")
RECIPES: dict[str, dict[str, Any]] = {
    "adam": {},
    "muon": {"optimizer": "muon", "average_checkpoints": 2, "weight_decay": 0.1},
    "adadelta": {"optimizer": "adadelta", "accumulate": 2},
    "one row a batch": {"tokens_per_batch": 5},
}
NARROW = {"hidden_size": 16, "ffn_size": 32, "embedding_size": 16, "num_heads": 2, "dropout": 0.0}
PAIRS = [([4, 5, 6, 7], [7, 6]), ([4, 4], [8, 8, 5]), ([6], [7])]


def narrow(name: str) -> Seq2Seq:
    """A small model of an architecture."""
    config = ARCHITECTURES[name].presets["small"]()
    sizes = {key: value for key, value in NARROW.items() if key in type(config).model_fields}
    torch.manual_seed(1)
    return build_model(config.model_copy(update=sizes), VocabularySizes(9, 9, joint=True))


def gradient(name: str, here: ProcessGroup, kind: str) -> dict[str, Tensor]:
    """Of one step of an architecture over PAIRS, by name."""
    model = narrow(name)
    config = settings(parallel=kind, clip_norm=0.0, label_smoothing=0.1, optimizer="muon")
    train_step = TrainStep(model, config, here)
    share = replace(make_batch(PAIRS[here.rank :: here.size]), global_target_tokens=make_batch(PAIRS).target_tokens)
    train_step.step([share], 1.0)
    return {key: full_tensor(p.grad).clone() for key, p in model.named_parameters() if p.grad is not None}


def of_model(model: Seq2Seq) -> dict[str, float]:
    """Its loss on PAIRS."""
    batch = make_batch(PAIRS)
    with torch.no_grad():
        return {"loss": ModelWithLoss(model, 0.0)(batch.source, batch.target_in, batch.target_out).item()}


def steps(recipe: str, here: ProcessGroup, kind: str) -> Found:
    """Those of a whole run by one of RECIPES."""
    return run_of(settings(parallel=kind, **RECIPES[recipe]), here)


def run_of(config: TrainConfig, here: ProcessGroup, **more: Any) -> Found:
    """A run without dropout to its end."""
    run, seen = trainer(config, here=here, validate=of_model, **{"dropout": 0.0, **more})
    return told(run, seen)


def told(run: Trainer, seen: Any) -> Found:
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


def resume(state: Found, here: ProcessGroup, kind: str) -> Found:
    """On from a state to the end, without dropout."""
    run, seen = gone_on(settings(parallel=kind), TrainingState(**state), here=here, validate=of_model, dropout=0.0)
    return told(run, seen)


def exactly(here: ProcessGroup, kind: str) -> Found:
    """With dropout: a whole run, and one taken up from its first checkpoint."""
    config = settings(parallel=kind, optimizer="muon", average_checkpoints=2)
    whole_run = run_of(config, here, dropout=0.2)
    state: Found = here.broadcast(whole_run["states"][0] if here.is_main else {})
    again, seen = gone_on(config, TrainingState(**state), here=here, validate=of_model)
    return {"whole": whole_run, "parts": told(again, seen)}


def no_number(here: ProcessGroup, kind: str) -> Found:
    """Logits that are no numbers in the last process alone, in steps 3 to 5."""
    run, seen = trainer(settings(parallel=kind), here=here, validate=of_model)
    readout, step = run.model.decoder.readout, run._step
    moved: list[bool] = []

    def poisoned(features: Tensor) -> Tensor:
        bad = here.rank == here.size - 1 and run.progress.step + 1 in range(3, 6)
        return readout(features) * (math.nan if bad else 1.0)

    def watched(batches: Iterator[Any]) -> None:
        before = copy_weights(run.model)
        step(batches)
        moved.append(any(not torch.equal(before[name], weight) for name, weight in copy_weights(run.model).items()))

    run.model.decoder.readout = poisoned  # type: ignore[method-assign]
    run._step = watched  # type: ignore[method-assign]
    return {**told(run, seen), "moved": moved}


def never_a_number(here: ProcessGroup, _: str) -> Found:
    """In every step, until it gives up."""
    run, _seen = trainer(settings(max_steps=100, checkpoint_every=100), here=here)
    readout = run.model.decoder.readout
    run.model.decoder.readout = lambda features: readout(features) * math.nan  # type: ignore[method-assign]
    try:
        run.run()
    except RegardError as error:
        return {"kind": type(error).__name__, "what": error.what}
    return {}


def signalled(here: ProcessGroup, kind: str) -> Found:
    """A SIGTERM after step 5 to the last process alone, and, as torchrun may do it, to the other when all is over."""
    last = here.rank == here.size - 1
    found = run_of(settings(parallel=kind), here, signaller=Signaller(signal.SIGTERM, [5] if last else []))
    if not last:
        os.kill(os.getpid(), signal.SIGTERM)
    return found


def clocks(here: ProcessGroup, _: str) -> Found:
    """The last process believes that its hours are long over."""
    run, seen = trainer(settings(max_minutes=60.0, schedule="cosine"), here=here, validate=of_model)
    run.progress.seconds = 0.0 if here.is_main else 1e6
    return told(run, seen)


def opinions(here: ProcessGroup, _: str) -> Found:
    """Scores that fall in the first process and rise in the others, where one checkpoint's patience is all there is."""
    scores = iter(range(100))
    sign = -1 if here.is_main else 1
    run, seen = trainer(settings(patience=1), here=here, validate=lambda _: {"loss": float(sign * next(scores))})
    return told(run, seen)


def in_turn(here: ProcessGroup, _: str) -> Found:
    """What the first process cannot do."""

    def work() -> None:
        raise ConfigError("it is wrong" if here.is_main else "nobody comes here")

    try:
        here.main_process_first(work)
    except RegardError as error:
        return {"kind": type(error).__name__, "what": error.what, "then": here.main_process_first(lambda: here.rank)}
    return {}


def main(folder: Path) -> None:
    alone = torch.load(folder / "alone.pt")
    checks: dict[str, Callable[[ProcessGroup, str], Found]] = {
        **{recipe: partial(steps, recipe) for recipe in RECIPES},
        **{f"gradient {name}": partial(gradient, name) for name in ARCHITECTURES},
        "resume": partial(resume, alone),
        "exactly": exactly,
        "no number": no_number,
        "signalled": signalled,
    }
    once = {"never a number": never_a_number, "clocks": clocks, "opinions": opinions, "in turn": in_turn}
    with init_distributed() as here, init_distributed() as again:
        assert again is here
        for name, check in checks.items():
            for kind in KINDS:
                torch.save(check(here, kind), folder / f"{name}-{kind}-{here.rank}.pt")
        for name, check in once.items():
            torch.save(check(here, "ddp"), folder / f"{name}-{here.rank}.pt")
    with init_distributed() as here:
        torch.save({"all": here.gather(here.rank)}, folder / f"later-{here.rank}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
