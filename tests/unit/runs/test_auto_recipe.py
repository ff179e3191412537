from __future__ import annotations

import random
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from regard.config.recipe import parse_config, to_table
from regard.config.schema import DataConfig, TokenizerConfig
from regard.contract import VocabularySizes
from regard.errors import ConfigError, DataError
from regard.models import ARCHITECTURES, build_model
from regard.runs import auto_recipe
from regard.runs.auto_recipe import build_recipe
from regard.runs.plan import count_parameters, expected_vocabulary_sizes
from regard.runs.prepare import prepare
from regard.runs.recipe_inputs import RecipeInputs, inspect_corpus
from regard.tokenizers.base import train_tokenizers


def inputs(pairs: int, *, gpu: bool = False, **changes: Any) -> RecipeInputs:
    defaults = {"mean_words": 12.0, "mean_characters": 70.0, "alphabet_size": 90, "distinct_words": 10 * pairs}
    return RecipeInputs(pairs=pairs, has_gpu=gpu, **{**defaults, **changes})


DATA = DataConfig(source="a.en", target="b.de")


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("pairs", [1, 100, 5_000, 20_000, 200_000, 3_000_000])
@pytest.mark.parametrize("words", [1.0, 12.0])
def test_every_choice_is_a_valid_recipe_with_its_reasons(pairs: int, gpu: bool, words: float) -> None:
    config, reasons = build_recipe(DATA, inputs(pairs, gpu=gpu, mean_words=words, mean_characters=6 * words))
    assert parse_config(to_table(config), ARCHITECTURES, where="auto") == config
    assert [reason.split(":")[0] for reason in reasons] == ["tokens", "model", "batch", "schedule", "patience"]
    assert config.data.source == DATA.source
    assert config.train.max_steps >= 1500
    assert config.train.max_steps // config.train.checkpoint_every >= 10


def test_more_pairs_give_larger_vocabularies_and_models() -> None:
    chosen = [build_recipe(DATA, inputs(pairs, gpu=True))[0] for pairs in (100, 5_000, 20_000, 200_000, 3_000_000)]
    assert [config.tokenizer.kind for config in chosen] == ["character", *["unigram"] * 4]
    sizes = [config.tokenizer.vocabulary_size for config in chosen]
    assert sizes == sorted(sizes)
    widths = [to_table(config)["model"]["hidden_size"] for config in chosen]
    assert widths == sorted(widths)
    assert widths[0] < widths[-1]
    small = build_recipe(DATA, inputs(3_000_000, gpu=False))[0]
    assert to_table(small)["model"]["hidden_size"] < widths[-1]


def test_character_tokens_have_a_larger_max_length() -> None:
    config, _ = build_recipe(DATA, inputs(100))
    assert (config.tokenizer.kind, config.data.max_length) == ("character", auto_recipe.CHARACTER_MAX_LENGTH)
    data = DATA.model_copy(update={"max_length": 77}).model_dump(exclude_none=True)
    assert build_recipe(DataConfig(**data), inputs(100))[0].data.max_length == 77
    assert build_recipe(DATA, inputs(20_000))[0].data.max_length == DATA.max_length


def test_a_large_alphabet_has_room_in_the_vocabulary() -> None:
    assert build_recipe(DATA, inputs(5_000, alphabet_size=4_000))[0].tokenizer.vocabulary_size > 5_000


def test_words_and_their_forms_are_split_into_characters() -> None:
    kinds = [
        build_recipe(DATA, inputs(7_000, mean_words=words, mean_characters=characters))[0].tokenizer.kind
        for words, characters in [(1.0, 8.0), (1.8, 19.4), (2.0, 47.0), (2.0, 80.0), (3.5, 20.0)]
    ]
    assert kinds == ["character", "character", "character", "unigram", "unigram"]


def test_a_closed_vocabulary_is_split_into_words() -> None:
    def tokenizer(*overrides: str, **changes: Any) -> TokenizerConfig:
        seen = inputs(**{"pairs": 14_000, "distinct_words": 19, "rare_words": 0, **changes})
        return build_recipe(DATA, seen, overrides)[0].tokenizer

    assert (tokenizer().kind, tokenizer().vocabulary_size) == ("word", 23)
    assert tokenizer("tokenizer.vocabulary_size=300").kind == "unigram"
    assert tokenizer(rare_words=1).kind == "unigram"
    assert tokenizer(distinct_words=1_001).kind == "unigram"
    assert tokenizer(pairs=1_999).kind == "character"
    assert tokenizer(mean_words=1.0, mean_characters=8.0).kind == "character"


@pytest.mark.parametrize(
    ("kind", "excess_words", "excess_characters", "addend"),
    [
        ("unigram", 19, 500, 20),
        ("unigram", 20, 0, 30),
        ("character", 0, 95, 100),
        ("word", 31, 500, 40),
        ("byte", 0, 95, 100),
    ],
)
def test_translations_may_be_as_long_as_targets(
    kind: str, excess_words: int, excess_characters: int, addend: int
) -> None:
    seen = inputs(20_000, excess_words=excess_words, excess_characters=excess_characters)
    config, plan = build_recipe(DATA, seen, [f"tokenizer.kind={kind}"])
    assert config.search.max_length_addend == addend
    assert any(line.startswith("length: ") for line in plan) == (addend > 20)
    chosen, _ = build_recipe(DATA, seen, [f"tokenizer.kind={kind}", "search.max_length_addend=7"])
    assert chosen.search.max_length_addend == 7


@pytest.mark.parametrize(
    ("kind", "words", "characters", "max_length"),
    [
        ("unigram", 100, 600, 256),
        ("unigram", 250, 1_500, 500),
        ("unigram", 900, 5_000, 1_024),
        ("word", 300, 1_800, 300),
        ("character", 40, 300, 1_000),
        ("character", 300, 1_800, 1_800),
        ("byte", 300, 1_800, 3_600),
        ("byte", 800, 5_000, 4_000),
    ],
)
def test_long_lines_are_not_left_out(kind: str, words: int, characters: int, max_length: int) -> None:
    seen = inputs(20_000, long_words=words, long_characters=characters)
    override = f"tokenizer.kind={kind}"
    assert build_recipe(DATA, seen, [override])[0].data.max_length == max_length
    assert build_recipe(DATA, seen, [override, "data.max_length=77"])[0].data.max_length == 77


def test_the_plan_is_of_the_tokenizer_and_the_epochs_that_overrides_set() -> None:
    config, plan = build_recipe(DATA, inputs(20_000), ["tokenizer.kind=word", "train.max_epochs=2"])
    assert config.tokenizer.kind == "word"
    assert config.augmentation.level == "off"
    assert "become bytes" not in plan[0]
    steps = next(line for line in plan if line.startswith("steps: "))
    allowed = int(steps.split()[1].replace(",", ""))
    assert config.train.warmup_steps <= allowed // 10


def test_overrides_of_the_data_count_before_the_corpus_is_read(tmp_path: Path) -> None:
    data = files(tmp_path, [(f"line {number}", f"Zeile {number}") for number in range(300)])
    _, plan = auto_recipe.choose_recipe(data, ["data.held_out=290"], gpu=False)
    assert any("40 epochs suit 10 pairs" in line for line in plan)
    table = tmp_path / "table.tsv"
    table.write_text("".join(f"a{number}\tb\tc{number}\n" for number in range(300)), encoding="utf-8")
    overrides = ['data.source_column="1"', 'data.target_column="3"', "train.max_steps=9"]
    config, _ = auto_recipe.choose_recipe(DataConfig(file=str(table)), overrides, gpu=False)
    assert (config.data.source_column, config.data.target_column) == ("1", "3")


def test_almost_all_targets_count_for_the_length(tmp_path: Path) -> None:
    pairs = [("a b", "c")] * 997 + [("a b", "c c c c c c")] * 2 + [("a b", "c " * 50)]
    seen = inspect_corpus(files(tmp_path, pairs), gpu=False)
    assert (seen.excess_words, seen.excess_characters) == (2, 5)  # one target in a thousand may be longer


PROGRAMS = {"words_in_source": 0.56, "characters_in_source": 0.95}
SPELLINGS = {"mean_words": 1.0, "mean_characters": 6.0, "words_in_source": 0.0, "characters_in_source": 0.86}


@pytest.mark.parametrize(
    ("changes", "overrides", "copies"),
    [
        (
            {"words_in_source": 0.13, "characters_in_source": 0.91},
            [],
            False,
        ),  # translation: the sides share letters only
        (PROGRAMS, [], True),
        (SPELLINGS, [], True),
        ({**SPELLINGS, "characters_in_source": 0.24}, [], False),  # letters to phones
        (PROGRAMS, ["model.architecture=luong2015"], False),  # the systems of papers are as published
        (PROGRAMS, ["tokenizer.joint=false"], False),
        (PROGRAMS, ["model.copy_attention=false"], False),
    ],
)
def test_tokens_are_copied_if_targets_repeat_their_source(
    changes: dict[str, Any], overrides: list[str], copies: bool
) -> None:
    config, plan = build_recipe(DATA, inputs(10_000, **changes), overrides)
    assert config.model.copies_source == copies
    assert any(line.startswith("copying: ") for line in plan) == copies


def files(folder: Path, pairs: list[tuple[str, str]]) -> DataConfig:
    for name, lines in zip(("a", "b"), zip(*pairs, strict=True), strict=True):
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return DataConfig(source=str(folder / "a"), target=str(folder / "b"))


def test_inspect_corpus(tmp_path: Path) -> None:
    seen = inspect_corpus(files(tmp_path, [("a b", "c"), ("", "x"), ("dd", "e f dd")]), gpu=True)
    assert seen == RecipeInputs(
        pairs=1,
        mean_words=2.5,
        mean_characters=4.5,
        alphabet_size=7,
        distinct_words=6,
        has_gpu=True,
        dev_pairs=1,
        words_in_source=1 / 4,
        characters_in_source=2 / 5,
        rare_words=6,
        excess_words=1,
        excess_characters=2,
        long_words=3,
        long_characters=6,
    )
    empty = files(tmp_path, [("", "a")])
    with pytest.raises(DataError, match="no line has text"):
        inspect_corpus(empty, gpu=False)


def made_up(words: list[str], pairs: int, *, seed: int, length: int = 6) -> list[tuple[str, str]]:
    rng = random.Random(seed)
    sources = (rng.choices(words, k=rng.randint(2, length)) for _ in range(pairs))
    return [(" ".join(source), " ".join(reversed(source))) for source in sources]


def few_words(pairs: int) -> list[tuple[str, str]]:
    rng = random.Random(5)
    words = ["".join(rng.choices("abcdefghij", k=5)) for _ in range(60)]
    return [*made_up(words, pairs - 1, seed=1), ("abcabc", "abcabc")]  # a word that occurs once: more may be expected


def without_spaces(pairs: int) -> list[tuple[str, str]]:
    rng = random.Random(6)
    alphabet = [chr(0x4E00 + number) for number in range(700)]
    lines = ["".join(rng.choices(alphabet, k=60)) + "。" for _ in range(pairs)]  # shorter ones would be characters
    return [(line, line[::-1]) for line in lines]


CORPORA = {
    "300 short pairs": lambda: [(f"{number} sheep sleep", f"{number} Schafe") for number in range(300)],
    "2,500 pairs of 60 words": lambda: few_words(2500),
    "2,500 pairs of 9 words": lambda: made_up(list("abcdefghi"), 2500, seed=2, length=30),
    "2,150 pairs without spaces": lambda: without_spaces(2150),
}


@pytest.mark.parametrize("name", CORPORA)
def test_the_corpus_allows_the_vocabulary(name: str, tmp_path: Path) -> None:
    data = files(tmp_path, CORPORA[name]())
    config, reasons = auto_recipe.choose_recipe(data, gpu=False)
    prepared = prepare(config, tmp_path / "prepared", lambda _: None)
    assert len(prepared.store) + len(prepared.dev) >= 300
    assert prepared.tokenizers.source.size <= config.tokenizer.vocabulary_size
    assert reasons[0].startswith("tokens: ")
    assert config.data.max_length >= data.max_length


def test_the_plan_says_why_a_vocabulary_is_smaller_unless_an_override_sets_its_size(tmp_path: Path) -> None:
    data = files(tmp_path, few_words(2500))
    config, reasons = auto_recipe.choose_recipe(data, gpu=False)
    first_size = build_recipe(data, inspect_corpus(data, gpu=False))[0].tokenizer.vocabulary_size
    assert config.tokenizer.vocabulary_size < first_size
    assert f"the text does not give {first_size:,} subwords" in reasons[0]
    fixed, reasons = auto_recipe.choose_recipe(data, ["tokenizer.vocabulary_size=5000"], gpu=False)
    assert fixed.tokenizer.vocabulary_size == 5000
    assert "the text does not give" not in reasons[0]
    with pytest.raises(ConfigError, match="a vocabulary of 5000 is too large"):
        train_tokenizers(fixed.tokenizer, few_words(2500))


def test_overrides_are_kept(tmp_path: Path) -> None:
    data = files(tmp_path, few_words(2500))
    config, _ = auto_recipe.choose_recipe(
        data, ["tokenizer.kind=bpe", "train.seed=9", "model.hidden_size=64"], gpu=False
    )
    assert (config.tokenizer.kind, config.train.seed, to_table(config)["model"]["hidden_size"]) == ("bpe", 9, 64)
    prepare(config, tmp_path / "prepared", lambda _: None)
    with pytest.raises(ConfigError, match=r"train\.sed"):
        auto_recipe.choose_recipe(data, ["train.sed=9"], gpu=False)


def many_words(pairs: int) -> list[tuple[str, str]]:
    rng = random.Random(7)
    return made_up(["".join(rng.choices("abcdefghijklm", k=rng.randint(2, 9))) for _ in range(3000)], pairs, seed=3)


BUILT = {
    "nothing": [],
    "architecture": ["model.architecture=transformer2017"],
    "architecture and size": ["model.architecture=bahdanau2014", "model.hidden_size=48"],
    "layers": ["model.architecture=convs2s2017", "model.encoder=[[64, 3], [32, 1]]"],
    "preset": ["model.preset=fast", "model.dropout=0.25"],
    "vocabulary": ["tokenizer.vocabulary_size=500"],
    "kind": ["tokenizer.kind=bpe", "tokenizer.vocabulary_size=450"],
    "two vocabularies": ["tokenizer.joint=false", "tokenizer.vocabulary_size=400", "model.architecture=luong2015"],
    "bytes": ["tokenizer.kind=byte"],
    "characters": ["tokenizer.kind=character"],
}


@pytest.mark.parametrize("name", BUILT)
def test_the_plan_describes_the_model_that_is_built(name: str, tmp_path: Path) -> None:
    config, lines = auto_recipe.choose_recipe(files(tmp_path, many_words(2200)), BUILT[name], gpu=False)
    tokenizers = prepare(config, tmp_path / "prepared", lambda _: None).tokenizers
    sizes = VocabularySizes(tokenizers.source.size, tokenizers.target.size, tokenizers.joint)
    built = sum(parameter.numel() for parameter in build_model(config.model, sizes).parameters())
    tokens, model = lines[0], lines[1]
    match = re.match(r"model: (\w+)(?: \(from overrides\))?, (at most )?([\d,]+) parameters: ", model)
    assert match is not None, model
    assert match[1] == config.model.architecture
    parameters = int(match[3].replace(",", ""))
    assert parameters >= built if match[2] else parameters == built
    assert bool(match[2]) == (name == "characters")
    for key, value in config.model.model_dump(exclude={"architecture"}).items():
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            assert f"{key}={value}" in model
    if name not in ("bytes", "characters"):
        assert f"{tokenizers.source.size:,}" in tokens


MARKED = {
    "tokenizer.kind=bpe": "BPE pieces",
    "tokenizer.vocabulary_size=1500": "1,500",
    "tokenizer.joint=false": "for each side",
    "model.architecture=transformer2017": "transformer2017",
    "model.preset=small": "the small preset",
    "model.dropout=0.25": "dropout=0.25",
    "model.hidden_size=64": "hidden_size=64",
    "train.tokens_per_batch=512": "512 tokens",
    "train.accumulate=2": "2 batches per step",
    "train.max_steps=9000": r"9,000 steps \(.*? epochs\)",
    "train.optimizer=adam": "Adam",
    "train.learning_rate=0.002": "0.002",
    "train.warmup_steps=33": "33 steps of warm-up",
    "train.schedule=cosine": "cosine decay to 0",
    "train.average_decay=0.95": r"decay 0.95\)",
    "train.average_checkpoints=4": "averaged over 4 checkpoints",
    "train.checkpoint_every=77": "every 77 steps",
    "train.metric=bleu": "BLEU on dev",
    "train.patience=3": "stops after 3 without a better chrF on dev",
    "train.seed=9": "train.seed=9",
    "search.beam_size=3": "search.beam_size=3",
    "data.max_length=99": "data.max_length=99",
    "augmentation.level=full": "augmentation: full",
    "augmentation.typos=0.4": "typos=0.4",
    "augmentation.level=off": "augmentation.level=off",
}


@pytest.mark.parametrize("override", MARKED)
def test_each_override_is_shown_and_marked_and_nothing_else_is(override: str) -> None:
    config, lines = build_recipe(DATA, inputs(20_000), [override])
    text = "\n".join(lines)
    assert text.count("from overrides") == 1
    key, _, _ = override.partition("=")
    if key.startswith(("search", "data")) or key == "train.seed" or override.endswith("off"):
        assert lines[-1] == f"also from overrides: {MARKED[override]}"
    else:
        assert re.search(rf"{MARKED[override]} \(from overrides\)", text), text
    section, _, name = key.partition(".")
    if name != "preset":
        assert str(to_table(config)[section][name]).lower() == override.partition("=")[2]


def test_sentences_in_two_languages_are_augmented_and_nothing_else_is() -> None:
    def level(source_language: str, target_language: str, *overrides: str, pairs: int = 20_000) -> str:
        data = DATA.model_copy(update={"source_language": source_language, "target_language": target_language})
        config, lines = build_recipe(data, inputs(pairs), overrides)
        assert any(line.startswith("augmentation: ") for line in lines) == bool(config.augmentation.rates)
        return config.augmentation.level

    assert level("en", "de") == level("pt-BR", "zh_Hans") == "light"
    assert level("en", "de", "augmentation.level=off") == "off"
    assert level("en", "de", "augmentation.typos=0.4") == "light"
    assert level("en", "de", "tokenizer.kind=character") == level("en", "de", pairs=500) == "off"  # spellings
    assert level("de", "de-AT") == level("", "de") == level("en", "") == level("java", "cs") == "off"


def test_an_override_by_the_old_name_of_a_key_is_marked_at_the_new_name() -> None:
    _, lines = build_recipe(DATA, inputs(20_000), ["model.d_model=64"])
    assert "hidden_size=64 (from overrides)" in lines[1]
    assert not any(line.startswith("also") for line in lines)


def test_other_values_are_chosen_to_go_with_overrides() -> None:
    plain, _ = build_recipe(DATA, inputs(20_000))
    halved, lines = build_recipe(DATA, inputs(20_000), [f"train.tokens_per_batch={plain.train.tokens_per_batch // 2}"])
    assert halved.train.max_steps == pytest.approx(2 * plain.train.max_steps, rel=0.01)
    assert "25 epochs" in lines[3]
    assert build_recipe(DATA, inputs(20_000), ["train.accumulate=2"])[0].train.max_steps == pytest.approx(
        plain.train.max_steps / 2, rel=0.01
    )
    adam = build_recipe(DATA, inputs(20_000), ["train.optimizer=adam"])[0].train
    assert adam.learning_rate < plain.train.learning_rate
    characters, _ = build_recipe(DATA, inputs(20_000, alphabet_size=70), ["tokenizer.kind=character"])
    assert (characters.tokenizer.vocabulary_size, characters.data.max_length) == (74, auto_recipe.CHARACTER_MAX_LENGTH)
    subwords, _ = build_recipe(DATA, inputs(1_000), ["tokenizer.kind=bpe"])
    assert subwords.tokenizer.vocabulary_size > 1_000


def test_an_override_of_the_tokenizer_kind_is_kept(tmp_path: Path) -> None:
    data = files(tmp_path, made_up(list("ab"), 300, seed=4))
    config, _ = auto_recipe.choose_recipe(data, ["tokenizer.kind=bpe"], gpu=False)
    assert config.tokenizer.kind == "bpe"


@cache
def parameters(architecture: str, pairs: int, gpu: bool) -> int:
    config, _ = build_recipe(DATA, inputs(pairs, gpu=gpu), [f"model.architecture={architecture}"])
    return count_parameters(config.model, expected_vocabulary_sizes(config.tokenizer))


@pytest.mark.parametrize(
    ("pairs", "gpu"),
    [(1_000, False), (29_000, False), (160_000, False), (1_000_000, False), (29_000, True), (1_000_000, True)],
)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_models_of_all_architectures_are_of_similar_size(name: str, pairs: int, gpu: bool) -> None:
    """`modern` has one embedding matrix; other architectures have three."""
    assert 0.5 < parameters(name, pairs, gpu) / parameters("modern", pairs, gpu) < 1.75
