"""The systems that train in the environment of regard: regard, and the Hugging Face Marian in a plain PyTorch loop.

train_cpu.py runs both with `--work NAME FOLDER THREADS`. They train on the same batches in the same order.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from peers import task
from peers.work import LogEntry, System, Work

if TYPE_CHECKING:
    from regard.config.schema import RunConfig
    from regard.data.batch import Batch
    from regard.data.loader import Loader, Position
    from regard.runs.prepared import Prepared
    from regard.tokenizers.base import Tokenizers
    from regard.training.trainer import CheckpointEvent
    from regard.training.training_log import StepMetrics

PREFIX = "target tokens of an update: "
MAX_POSITIONS = 512
CHUNK_PAIRS = 64  # sentences


def _log_update(tokens: int) -> None:
    print(f"{PREFIX}{tokens}", flush=True)


def parse_line(line: str) -> LogEntry | None:
    """Parse a line of the log of either system."""
    return LogEntry(tokens=int(line.removeprefix(PREFIX))) if line.startswith(PREFIX) else None


def open_work(
    folder: Path, threads: int, batch: int = 0, rank: int = 0, size: int = 1
) -> tuple[RunConfig, Prepared, Loader]:
    """Load the recipe and the prepared data of the task, and make this process's loader."""
    import torch

    from regard.data.loader import BatchSize, Loader
    from regard.data.store import PairStore
    from regard.runs.prepare import prepare
    from regard.runs.train import read_recipe

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    config = read_recipe(folder / "recipe.toml")
    prepared = prepare(config, folder / "data", lambda _: None)
    assert isinstance(prepared.train, PairStore)
    tokens = batch or config.train.tokens_per_batch
    loader = Loader(prepared.train, BatchSize(tokens), config.train.seed, rank=rank, size=size)
    return config, prepared, loader


class _TokenCounter:
    """A loader and a reporter that logs the number of target tokens since the previous step."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._tokens = 0

    @property
    def position(self) -> Position:
        return self._loader.position

    @property
    def batches_per_epoch(self) -> int | None:
        return self._loader.batches_per_epoch

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._loader:
            self._tokens += batch.global_target_tokens
            yield batch

    def on_step(self, metrics: StepMetrics) -> None:
        _log_update(self._tokens)
        self._tokens = 0

    def on_checkpoint(self, step: int, scores: Mapping[str, float], best: bool) -> None:
        pass

    def on_notice(self, step: int, text: str) -> None:
        print(text, flush=True)

    def close(self) -> None:
        pass


def train_regard(folder: Path, threads: int, parallel: str = "ddp") -> None:
    """Train with the Trainer of regard until this process is killed; also works in processes started by torchrun."""
    from regard.runtime import shorten_idle_spins

    shorten_idle_spins()  # as the command does
    from regard.contract import Seq2Seq, VocabularySizes
    from regard.models import build_model
    from regard.training.distributed import init_distributed
    from regard.training.trainer import Trainer

    def validate(_: Seq2Seq) -> NoReturn:
        sys.exit("the run reached a checkpoint")

    def save(_: CheckpointEvent) -> NoReturn:
        sys.exit("the run reached a checkpoint")

    with init_distributed() as processes:
        config, prepared, loader = open_work(folder, threads, rank=processes.rank, size=processes.size)
        size = prepared.tokenizers.source.size
        model = build_model(config.model, VocabularySizes(size, size, joint=True))
        counter: Any = _TokenCounter(loader)
        reporters = [counter] if processes.is_main else []
        train = config.train.model_copy(update={"parallel": parallel})
        Trainer(model, counter, train, validate=validate, save=save, reporters=reporters, processes=processes).run()


def train_huggingface(folder: Path, threads: int) -> None:
    """Train the Hugging Face MarianMTModel in a plain loop until this process is killed."""
    _, prepared, loader = open_work(folder, threads)
    model = marian_model(prepared.tokenizers.source.size)
    for tokens in huggingface_updates(model, loader, task.RATE, task.WARM_UP):
        _log_update(tokens)


def marian_model(vocabulary: int, init_std: float = task.WIDTH**-0.5) -> Any:
    """Return the Hugging Face Marian of the size of the task, with random weights of this standard deviation."""
    from transformers import MarianConfig, MarianMTModel

    from regard.special_tokens import BOS, EOS, PAD

    config = MarianConfig(
        vocab_size=vocabulary,
        d_model=task.WIDTH,
        encoder_layers=task.LAYERS,
        decoder_layers=task.LAYERS,
        encoder_ffn_dim=task.INNER,
        decoder_ffn_dim=task.INNER,
        encoder_attention_heads=task.HEADS,
        decoder_attention_heads=task.HEADS,
        activation_function="relu",
        dropout=task.DROPOUT,
        scale_embedding=True,
        max_position_embeddings=MAX_POSITIONS,
        use_cache=False,
        init_std=init_std,
        pad_token_id=PAD,
        eos_token_id=EOS,
        forced_eos_token_id=EOS,
        decoder_start_token_id=BOS,
    )
    return MarianMTModel(config)


def huggingface_updates(model: Any, loader: Loader, rate: float, warm_up: int) -> Iterator[int]:
    """Train the model in a plain loop; yield the number of target tokens after each update."""
    import torch

    from regard.special_tokens import PAD

    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, betas=task.BETAS, eps=1e-9, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm_up, (warm_up / (step + 1)) ** 0.5)
    )
    criterion = torch.nn.CrossEntropyLoss(ignore_index=PAD, label_smoothing=task.SMOOTHING)
    for batch in loader:
        logits = model(
            input_ids=batch.source, attention_mask=batch.source.ne(PAD).long(), decoder_input_ids=batch.target_in
        ).logits
        loss = criterion(logits.flatten(0, 1), batch.target_out.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), task.CLIP)
        optimizer.step()
        schedule.step()
        yield batch.target_tokens


def huggingface_translations(
    model: Any, tokenizers: Tokenizers, sources: Sequence[str], beam_size: int = 1
) -> list[str]:
    """Return the translations of the sources, which are cut after MAX_POSITIONS. A beam of 1 is greedy search."""
    import torch

    from regard.data.batch import pad
    from regard.special_tokens import EOS, PAD

    model.eval()
    encoded = [tokenizers.source.encode(source)[: MAX_POSITIONS - 1] for source in sources]
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
    translations: dict[int, str] = {}
    for start in range(0, len(order), CHUNK_PAIRS):
        indices = order[start : start + CHUNK_PAIRS]
        ids = pad([encoded[index] for index in indices], last=EOS)
        with torch.no_grad():
            out = model.generate(
                ids,
                attention_mask=ids.ne(PAD).long(),
                num_beams=beam_size,
                max_new_tokens=min(2 * ids.size(1) + 10, MAX_POSITIONS - 1),
                use_cache=True,
            )
        for index, row in zip(indices, out[:, 1:].tolist(), strict=True):
            translations[index] = tokenizers.target.decode([id for id in row if id not in (PAD, EOS)])
    model.train()
    return [translations[index] for index in range(len(encoded))]


def _system(name: str, work_name: str) -> System:
    def command(python: Path, work: Work, folder: Path) -> list[str]:
        script = Path(__file__).parents[1] / "train_cpu.py"
        return [str(python), str(script), "--work", work_name, str(work.folder), str(work.threads)]

    return System(name, command, parse_line)


REGARD = _system("regard", "regard")
HUGGINGFACE = _system("Hugging Face Marian", "huggingface")
