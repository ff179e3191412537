"""The models of the lessons: small, trained on generated corpora in minutes on one core, always with the same seed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regard.config.schema import DataConfig, RunConfig, SearchConfig, TokenizerConfig, TrainConfig
from regard.lessons.ablation import Ablation, ablate
from regard.lessons.tasks import TASKS, Task
from regard.models import ARCHITECTURES

TRAINING_PAIRS = 40_000
DEV_PAIRS = 320
TRAINING = "training.json"  # in the folder of a model: the CPU time of its training
PAPER_TASK = "dates"  # of the models on the papers' pages
PAPER_LONGEST = 2
SCORES = ("dot", "general", "concat", "scaled_dot")


@dataclass(frozen=True)
class LessonModel:
    """A model of a lesson.

    Attributes:
        name: The name of its run and of its folder in `static/models`.
        task: The name of its task.
        architecture: Its architecture, whose small preset it changes.
        settings: Settings of the architecture.
        max_steps: Steps of training.
        longest: The longest length that it is trained on; None: the task's.
        learning_rate: The peak learning rate.
        is_live: Whether it is exported to run in the page.
        tokenizer: The kind of its tokens.
        label_smoothing: The label smoothing of its training.
        is_steered: Whether it is also exported with inputs that change its attention; see `regard.lessons.steering`.
        without: What its Transformer is trained without; see `regard.lessons.ablation`.
        with_trace: Whether its steps are exported for lesson 6; see `regard.lessons.trace`.
        is_int8: Whether the exported model has its matrices in 8 bits.
    """

    name: str
    task: str
    architecture: str
    settings: Mapping[str, object]
    max_steps: int
    longest: int | None = None
    learning_rate: float = 0.01
    is_live: bool = True
    tokenizer: str = "character"
    label_smoothing: float = 0.0
    is_steered: bool = False
    without: Ablation | None = None
    with_trace: bool = False
    is_int8: bool = False

    @property
    def sizes(self) -> range:
        """The lengths that it is trained on."""
        return range(1, (self.longest or TASKS[self.task].trained_to) + 1)

    def recipe(self, folder: Path) -> RunConfig:
        """Return its recipe, with the corpus in `folder`."""
        files = {
            f"{prefix}{side}": str(folder / f"{split}.{side}")
            for prefix, split in (("", "train"), ("dev_", "dev"))
            for side in ("source", "target")
        }
        preset = ARCHITECTURES[self.architecture].presets["small"]()
        return RunConfig(
            data=DataConfig(**files),  # type: ignore[arg-type]
            tokenizer=TokenizerConfig(kind=self.tokenizer, vocabulary_size=1000),
            model=type(preset).model_validate({**preset.model_dump(), **self.settings, "dropout": 0.0}),
            train=TrainConfig(
                seed=1, optimizer="muon", schedule="cosine", label_smoothing=self.label_smoothing, patience=0,
                metric="exact", warmup_steps=50, checkpoint_every=max(100, self.max_steps // 4), tokens_per_batch=2048,
                learning_rate=self.learning_rate, max_steps=self.max_steps, device="cpu",
            ),
            search=SearchConfig(beam_size=1, length_penalty=0.0),
        )  # fmt: skip


def _pair(task: str, units: tuple[int, int], max_steps: tuple[int, int]) -> list[LessonModel]:
    """Return the two systems of lesson 1 for a task, with the units and steps of cho2014 and of bahdanau2014."""
    narrow = {"embedding_size": 48, "maxout_size": 48}
    plain, attending = ({**narrow, "hidden_size": size} for size in units)
    return [
        LessonModel(f"{task}-cho2014", task, "cho2014", plain, max_steps[0]),
        LessonModel(f"{task}-bahdanau2014", task, "bahdanau2014", {**attending, "attention_size": 48}, max_steps[1]),
    ]


def _transformer(name: str, max_steps: int = 800, **options: Any) -> LessonModel:
    """Return a Transformer of lessons 5 and 6."""
    settings = {"encoder_layers": 2, "decoder_layers": 2, "hidden_size": 64, "ffn_size": 128, "num_heads": 4}
    return LessonModel(name, "dates", "transformer2017", settings, max_steps, 2, **options)


def _of_paper(architecture: str, settings: Mapping[str, object], max_steps: int) -> LessonModel:
    """Return the model of a paper's page that no lesson has."""
    name = f"{PAPER_TASK}-{architecture}"
    return LessonModel(name, PAPER_TASK, architecture, settings, max_steps, PAPER_LONGEST, is_int8=True)


LESSON_MODELS: Sequence[LessonModel] = [
    *_pair("digits", (64, 64), (600, 600)),
    *_pair("dates", (128, 80), (2000, 600)),
    *(
        LessonModel(
            f"score-{score}",
            "digits",
            "luong2015",
            {
                "hidden_size": 16, "embedding_size": 16, "num_layers": 1, "attention": "global", "score": score,
                "input_feeding": True, "reverse_source": False,
            },
            800,
            longest=6,
            learning_rate=0.02,
            is_live=False,
        )
        for score in SCORES
    ),
    _transformer("dates-transformer2017", is_steered=True, with_trace=True),
    _transformer("dates-no-positions", without="positions"),
    _transformer("dates-no-mask", 200, is_live=False, without="mask"),
    *(
        LessonModel(
            name,
            "phrases",
            "bahdanau2014",
            {"hidden_size": 48, "embedding_size": 32, "maxout_size": 32, "attention_size": 32},
            1000,
            tokenizer="word",
            label_smoothing=smoothing,
            is_live=smoothing > 0,
            is_steered=smoothing > 0,
        )
        for name, smoothing in (("phrases", 0.1), ("phrases-unsmoothed", 0.0))
    ),
    _of_paper("sutskever2014", {"num_layers": 2, "hidden_size": 160, "embedding_size": 48}, 2500),
    _of_paper("luong2015", {"num_layers": 2, "hidden_size": 64, "embedding_size": 48}, 800),
    _of_paper(
        "gnmt2016",
        {"encoder_layers": 3, "decoder_layers": 3, "hidden_size": 64, "embedding_size": 48, "attention_size": 48},
        600,
    ),
    _of_paper("bytenet2016", {"encoder_layers": 5, "decoder_layers": 5, "hidden_size": 64}, 2000),
    _of_paper(
        "convs2s2017",
        {
            "embedding_size": 64, "encoder_convolutions": ((64, 3),) * 4, "decoder_convolutions": ((64, 3),) * 3,
            "max_positions": 128,
        },
        800,
    ),
    _of_paper(
        "modern", {"encoder_layers": 2, "decoder_layers": 2, "hidden_size": 64, "ffn_size": 88, "num_heads": 4}, 800
    ),
]  # fmt: skip


def train_model(model: LessonModel, folder: Path) -> Path:
    """Train a model in `folder`, write how much CPU time that took, and return the folder of its run."""
    from regard.runs.api import train

    write_lesson_corpus(model, folder)
    start = time.process_time()
    with ablate(model.without):
        run = Path(train(model.recipe(folder), folder / "run", quiet=True).folder)
    write_json(folder / TRAINING, {"cpu_seconds": time.process_time() - start})
    return run


def write_lesson_corpus(model: LessonModel, folder: Path) -> None:
    """Write the training pairs and the dev set of a model into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    task = TASKS[model.task]
    dev = [pair for size in model.sizes for pair in task.make("dev", size, DEV_PAIRS // len(model.sizes))]
    write_pairs(task.training_pairs(TRAINING_PAIRS, model.sizes), folder, "train")
    write_pairs(dev, folder, "dev")


def write_pairs(pairs: Sequence[tuple[str, str]], folder: Path, split: str) -> None:
    """Write pairs as two files, line by line."""
    for side, place in (("source", 0), ("target", 1)):
        (folder / f"{split}.{side}").write_text("".join(f"{pair[place]}\n" for pair in pairs), encoding="utf-8")


def write_json(path: Path, data: object) -> None:
    """Write JSON in which numbers have at most 6 significant digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_rounded(data), ensure_ascii=False, separators=(",", ":"))
    path.write_text(text + "\n", encoding="utf-8")


def _rounded(data: object) -> object:
    match data:
        case float():
            return float(f"{data:.6g}")
        case dict():
            return {key: _rounded(value) for key, value in data.items()}
        case list() | tuple():
            return [_rounded(value) for value in data]
    return data


def measure_lengths(run: Path, task: Task, count: int) -> list[float]:
    """Return the share of test pairs of each length that a run translates without any error, greedily."""
    from regard.inference.translator import load

    translator = load(run, device="cpu")
    shares = []
    for size in task.sizes:
        pairs = task.make("test", size, count)
        outputs = translator.translate([source for source, _ in pairs])
        shares.append(sum(out.text == target for out, (_, target) in zip(outputs, pairs, strict=True)) / count)
    return shares
