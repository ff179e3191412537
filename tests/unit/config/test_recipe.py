import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regard.config.overrides import Override, to_overrides
from regard.config.recipe import override_config, parse_config, read_config, to_table, to_toml
from regard.config.schema import DATA_PATHS, DataConfig, RunConfig, Section, StartConfig
from regard.errors import ConfigError
from regard.models import ARCHITECTURES, bahdanau2014, transformer2017

DATES = '[data]\ncorpus = "dates"\n'
MODEL = '[model]\narchitecture = "transformer2017"\n'
FILES = '[data]\nsource = "text/a.en"\ntarget = "../b.de"\ndev_source = "/dev/a.en"\ndev_target = "c.de"\n'
NAMED = [(name, preset) for name in sorted(ARCHITECTURES) for preset in sorted(ARCHITECTURES[name].presets)]


def recipe(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "some.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(tmp_path: Path, text: str | bytes, *overrides: str) -> RunConfig:
    return read_config(recipe(tmp_path, text), ARCHITECTURES, overrides)


def refusal(tmp_path: Path, text: str | bytes, *overrides: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, *overrides)
    assert caught.value.where
    assert caught.value.fix
    return caught.value


def test_keys_that_a_recipe_leaves_out_have_defaults(tmp_path: Path) -> None:
    config = read(tmp_path, DATES + MODEL + "[train]\nlearning_rate = 1\n")
    assert config.model == transformer2017.Config()
    assert config.tokenizer.kind == "unigram"
    assert config.train.learning_rate == 1.0
    assert isinstance(config.train.learning_rate, float)
    assert config.search.beam_size == 5


@pytest.mark.parametrize(("optimizer", "rate"), [("adam", 1e-3), ("muon", 1e-3), ("adadelta", 1.0)])
def test_the_default_learning_rate_depends_on_the_optimizer(tmp_path: Path, optimizer: str, rate: float) -> None:
    recipe, override = DATES + MODEL, f"train.optimizer={optimizer}"
    from_file = read(tmp_path, f'{recipe}[train]\noptimizer = "{optimizer}"\n')
    overridden = read(tmp_path, recipe, override)
    changed = override_config(read(tmp_path, recipe + "[train]\nlearning_rate = 0.005\n"), [override], ARCHITECTURES)
    assert from_file.train.learning_rate == overridden.train.learning_rate == rate
    assert changed.train.learning_rate == (0.005 if optimizer == "adam" else rate)
    assert f"learning_rate = {rate}" in to_toml(from_file)
    assert read(tmp_path, recipe + "[train]\nlearning_rate = 0.3\n", override).train.learning_rate == 0.3
    assert override_config(changed, [override, "train.learning_rate=0.3"], ARCHITECTURES).train.learning_rate == 0.3


def test_keys_override_those_of_a_preset(tmp_path: Path) -> None:
    config = read(tmp_path, DATES + MODEL + 'preset = "small"\ndropout = 0.35\n')
    assert config.model == transformer2017.small().model_copy(update={"dropout": 0.35})


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        (DATES + MODEL + "[trian]\nseed = 1\n", "`trian`", "`train`"),
        (DATES + MODEL + "[train]\nsede = 1\n", "`train.sede`", "`seed`"),
        (DATES + "sorce = 1\n" + MODEL, "`data.sorce`", "`source`"),
        (DATES + MODEL + '[tokenizer]\nkinds = "bpe"\n', "`tokenizer.kinds`", "`kind`"),
        (DATES + MODEL + "[search]\nbeamsize = 1\n", "`search.beamsize`", "`beam_size`"),
        (DATES + MODEL + "hiden_size = 64\n", "`model.hiden_size`", "`hidden_size`"),
        (DATES + MODEL + 'preste = "small"\n', "`model.preste`", "`preset`"),
        (DATES + MODEL.replace("2017", "2016"), "'transformer2016'", "`transformer2017`"),
        (DATES + MODEL + 'preset = "smal"\n', "'smal'", "`small`"),
    ],
)
def test_an_unknown_name_is_an_error_that_names_the_nearest(tmp_path: Path, text: str, key: str, nearest: str) -> None:
    error = refusal(tmp_path, text)
    assert key in error.message
    assert error.fix is not None
    assert error.fix.startswith(f"did you mean {nearest}? valid: ")
    assert error.where is not None
    assert error.where.startswith(str(tmp_path / "some.toml"))


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ('[train]\nseed = "7"\n', "train.seed"),
        ("[train]\nseed = 7.0\n", "train.seed"),
        ("[train]\nseed = true\n", "train.seed"),
        ("[train]\nseed = 2020-01-01\n", "train.seed"),
        ("[train]\nseed = -1\n", "train.seed"),
        ("[train]\nseed = 99999999999999999999\n", "train.seed"),
        ("[train]\nlearning_rate = 0\n", "train.learning_rate"),
        ("[train]\nlearning_rate = inf\n", "train.learning_rate"),
        ("[train]\nclip_norm = nan\n", "train.clip_norm"),
        ("[train]\nlabel_smoothing = 1.0\n", "train.label_smoothing"),
        ('[train]\noptimizer = "lion"\n', "train.optimizer"),
        ("[tokenizer]\njoint = 1\n", "tokenizer.joint"),
        ("[tokenizer]\nvocabulary_size = 7\n", "tokenizer.vocabulary_size"),
        ("[search]\nbeam_size = 0\n", "search.beam_size"),
        ("[search]\nlength_penalty = [1]\n", "search.length_penalty"),
    ],
)
def test_a_value_of_the_wrong_type_or_out_of_range_is_an_error(tmp_path: Path, table: str, key: str) -> None:
    assert refusal(tmp_path, DATES + MODEL + table).message.startswith(f"`{key}`: ")


SECTIONS = {name: field.annotation for name, field in RunConfig.model_fields.items() if name != "model"}
SECTIONS |= {"start": StartConfig, "data": DataConfig}
SIZED = [("model", config.config) for config in ARCHITECTURES.values()] + [*SECTIONS.items()]


@pytest.mark.parametrize(("section", "kind"), SIZED)
def test_every_whole_number_has_an_upper_bound_that_the_error_names(section: str, kind: type[Section]) -> None:
    names = [name for name, field in kind.model_fields.items() if field.annotation in (int, int | None)]
    architecture = kind.model_fields["architecture"].default if section == "model" else "modern"
    for name in names:
        for value in (10**30, -2):
            table: dict[str, dict[str, Any]] = {"data": {"corpus": "dates"}, "start": {"checkpoint": "."}}
            table["model"] = {"architecture": architecture}
            table[section] = {**table.get(section, {}), name: value}
            with pytest.raises(ConfigError, match=rf"`{section}\.{name}`") as caught:
                parse_config(table, ARCHITECTURES, where="here")
            assert re.search(
                r"give a value of (at least|more than) \d[\d,]* and (at most|less than) [\d,]+", str(caught.value)
            )


def test_convolution_layers_are_bounded(tmp_path: Path) -> None:
    text = DATES + '[model]\narchitecture = "convs2s2017"\n'
    for layers in ("[[1000000000000, 3]]", "[[8, 1000000001]]", str([[8, 3]] * 1001)):
        assert "model.encoder_convolutions" in refusal(tmp_path, f"{text}encoder_convolutions = {layers}\n").message


@pytest.mark.parametrize("line", ["hidden_size = 7", "ffn_size = 0", "dropout = 1.0", 'num_heads = "8"'])
def test_an_impossible_size_is_an_error_that_names_its_key(tmp_path: Path, line: str) -> None:
    assert refusal(tmp_path, DATES + MODEL + line).message.startswith(f"`model.{line.split()[0]}`: ")


def test_incompatible_sizes_are_an_error(tmp_path: Path) -> None:
    error = refusal(tmp_path, DATES + MODEL + "num_heads = 3\n")
    assert error.message == "`model`: num_heads (3) must divide hidden_size (512)"


def test_copying_needs_a_joint_vocabulary(tmp_path: Path) -> None:
    text = DATES + MODEL + "copy_attention = true\n"
    assert read(tmp_path, text).model.copies_source
    error = refusal(tmp_path, text, "tokenizer.joint=false")
    assert "`model.copy_attention` needs `tokenizer.joint = true`" in error.message


@pytest.mark.parametrize("preset", ['["small"]', "{}", "5", "false"])
def test_a_preset_is_a_name(tmp_path: Path, preset: str) -> None:
    assert "has no preset" in refusal(tmp_path, DATES + MODEL + f"preset = {preset}\n").message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no [model] table"),
        (DATES, "there is no [model] table"),
        ("model = 3\n" + DATES, "there is no [model] table"),
        (DATES + "[model]\n", "model.architecture is missing"),
        (MODEL, "`data` is missing"),
        ("data = 5\n" + MODEL, "`data` is not a table (it is 5)"),
        ("train = [1]\n" + DATES + MODEL, "`train` is not a table (it is [1])"),
    ],
)
def test_a_missing_table_is_named(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text).message == message


@pytest.mark.parametrize(
    "data",
    [
        "",
        'source = "a"',
        'target = "a"',
        'corpus = "dates"\nsource = "a"',
        'corpus = "dates"\nsource = "a"\ntarget = "b"',
        'corpus = "dates"\ndev_source = "a"\ndev_target = "b"',
        'file = "a"\nsource = "a"\ntarget = "b"',
        'file = "a"\ndev_file = "b"\ndev_source = "a"\ndev_target = "b"',
        'dev_file = "b"',
    ],
)
def test_pairs_come_from_files_or_from_a_built_in_corpus(tmp_path: Path, data: str) -> None:
    error = refusal(tmp_path, f"[data]\n{data}\n{MODEL}")
    assert error.message.startswith("`data`: ")


def test_a_dev_set_has_two_sides(tmp_path: Path) -> None:
    assert "go together" in refusal(tmp_path, f'[data]\nsource = "a"\ntarget = "b"\ndev_source = "c"\n{MODEL}').message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[train\n", "cannot be read"),
        ("x = " + "[" * 5000, "cannot be read"),
        ("x = " + "9" * 5000, "cannot be read"),
        (b"\xff\xfe", "not UTF-8"),
        ('[data]\nsource = "a\\u0000b"\ntarget = "c"\n' + MODEL, "not a valid path"),
    ],
)
def test_a_file_that_is_not_a_recipe_is_an_error(tmp_path: Path, text: str | bytes, message: str) -> None:
    assert message in refusal(tmp_path, text).message


def test_a_missing_file_or_a_folder_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ConfigError) as caught:
            read_config(path, ARCHITECTURES)
        assert caught.value.where == str(path)


def test_a_byte_order_mark_and_windows_line_ends_are_ignored(tmp_path: Path) -> None:
    text = ("\ufeff" + DATES + MODEL).replace("\n", "\r\n")
    assert read(tmp_path, text) == read(tmp_path, DATES + MODEL)


def test_paths_are_relative_to_the_recipes_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "recipes"
    folder.mkdir()
    monkeypatch.chdir("/")
    data = read(folder, FILES + MODEL).data
    assert data.source == str(folder.resolve() / "text/a.en")
    assert data.target == str(tmp_path.resolve() / "b.de")
    assert data.dev_source == "/dev/a.en"
    assert data.dev_target == str(folder.resolve() / "c.de")


def test_an_overrides_path_is_relative_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "recipes"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    data = read(folder, FILES + MODEL, "data.source=mine.en", 'data.target="mine.de"').data
    assert data.source == str(tmp_path.resolve() / "mine.en")
    assert data.target == str(tmp_path.resolve() / "mine.de")


def test_overrides_are_toml_or_bare_words(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        DATES + MODEL + "[train]\nseed = 1\n",
        "train.seed=7",
        "train.metric = bleu",
        'train.device="cpu"',
        "tokenizer.joint=false",
        "data.target_language=no",
        "model.preset=small",
        " model.dropout=0.5",
        "train.max_steps=10",
        "train.max_steps=20",
    )
    assert (config.train.seed, config.train.metric, config.train.device) == (7, "bleu", "cpu")
    assert config.tokenizer.joint is False
    assert config.data.target_language == "no"
    assert config.model == transformer2017.small().model_copy(update={"dropout": 0.5})
    assert config.train.max_steps == 20


def test_an_override_may_set_a_key_of_a_nested_table(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(DATES + MODEL + "[train.second_stage]\nafter_steps = 7\n")
    overrides = ["train.second_stage.learning_rate=0.5", "train.second_stage.optimizer=sgd"]
    for config in (
        read_config(path, ARCHITECTURES, overrides),
        override_config(read_config(path, ARCHITECTURES), overrides, ARCHITECTURES),
    ):
        second = config.train.second_stage
        assert second is not None
        assert (second.after_steps, second.optimizer, second.learning_rate) == (7, "sgd", 0.5)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.second_stage.learning_rate=0.5", "`train.second_stage.after_steps` is missing"),
        ("data.corpus.x=1", "`corpus` is not a table"),
        ("a.b.c=1", "unknown key `a`"),
    ],
)
def test_a_nested_key_that_is_not_valid_is_an_error(tmp_path: Path, override: str, message: str) -> None:
    error = refusal(tmp_path, DATES + MODEL, override)
    assert message in error.message


@pytest.mark.parametrize(
    "override",
    ["", "train.seed", "seed=7", "a.b.c.d=1", "train..x=1", "train.x.=1", "=3", ".=5", "train.=7", ".seed=7"],
)
def test_an_override_of_another_form_is_an_error(tmp_path: Path, override: str) -> None:
    error = refusal(tmp_path, DATES + MODEL, override)
    assert f"`{override}` is not of the form section.key=value" == error.message
    assert error.where == "overrides"


@pytest.mark.parametrize(
    "override",
    ["train.seed=", "train.seed=seven", "train.seed=7\nx = 1", "train.seed=" + "[" * 5000, "train.sede=7", "trian.x=1"],
)
def test_overrides_are_validated_strictly(tmp_path: Path, override: str) -> None:
    error = refusal(tmp_path, DATES + MODEL, override)
    assert error.where == ("overrides" if override.startswith("train") else f"{tmp_path / 'some.toml'} with overrides")


def test_an_error_names_the_option_that_set_a_value(tmp_path: Path) -> None:
    overrides = [Override("train.max_minutes=-1", "--minutes"), Override("model.nonsense=1", "--set")]
    assert refusal(tmp_path, DATES + MODEL, overrides[0]).where == "--minutes"
    assert refusal(tmp_path, DATES + MODEL, overrides[1]).where == "--set"
    wrong = Override("model.architecture=transfomer2017", "--architecture")
    error = refusal(tmp_path, DATES + MODEL, wrong)
    assert error.where == "--architecture" and "did you mean `transformer2017`?" in str(error.fix)
    together = [Override("train.average_decay=0.9", "--set"), Override("train.average_checkpoints=3", "average")]
    assert refusal(tmp_path, DATES + MODEL, *together).where == f"{tmp_path / 'some.toml'} with --set, average"


def test_overrides_may_be_a_mapping_or_a_single_text(tmp_path: Path) -> None:
    mapping = {"train.seed": 7, "train.freeze": ["encoder"], "data.target_language": "no", "tokenizer.joint": False}
    texts = ["train.seed=7", 'train.freeze=["encoder"]', 'data.target_language="no"', "tokenizer.joint=false"]
    assert to_overrides(mapping) == to_overrides(texts) == texts
    assert to_overrides("train.seed=7") == ["train.seed=7"]


def test_an_override_with_an_invalid_path_or_of_a_section_that_is_not_a_table_is_an_error(tmp_path: Path) -> None:
    assert refusal(tmp_path, DATES + MODEL, "data.source=a\0b").where == "overrides: data.source"
    assert refusal(tmp_path, "train = 3\n" + DATES + MODEL, "train.seed=1").message == "`train` is not a table"


@pytest.mark.parametrize(("name", "preset"), NAMED)
@pytest.mark.parametrize("data", [DATES, FILES])
def test_a_written_config_reads_back_the_same(tmp_path: Path, name: str, preset: str, data: str) -> None:
    written = f'{data}target_language = "no"\n[model]\narchitecture = "{name}"\npreset = "{preset}"\n'
    config = read(tmp_path, written + '[train]\nmax_minutes = 1e-7\nmetric = "loss"\n[tokenizer]\nkind = "byte"\n')
    assert config.model == ARCHITECTURES[name].presets[preset]()
    assert config.data.target_language == "no"
    assert read(tmp_path, to_toml(config)) == config
    assert parse_config(to_table(config), ARCHITECTURES, where="checkpoint") == config
    assert "preset" not in to_table(config)["model"]


def test_a_written_config_has_every_key_with_a_value(tmp_path: Path) -> None:
    config = read(tmp_path, DATES + MODEL)
    written = tomllib.loads(to_toml(config))
    assert set(written) == set(RunConfig.model_fields) - {"start"}
    for section, table in written.items():
        part: Section = getattr(config, section)
        assert set(table) == {key for key in type(part).model_fields if getattr(part, key) is not None}


def test_overriding_a_config_changes_only_the_named_keys(tmp_path: Path) -> None:
    config = read(tmp_path, DATES + MODEL + 'preset = "small"\ndropout = 0.35\n')
    changed = override_config(config, ["model.ffn_size=512", "train.seed=9"], ARCHITECTURES)
    assert changed.model == transformer2017.small().model_copy(update={"dropout": 0.35, "ffn_size": 512})
    assert changed.train == config.train.model_copy(update={"seed": 9})
    assert (changed.data, changed.search) == (config.data, config.search)


def test_overriding_the_architecture_starts_from_its_small_preset(tmp_path: Path) -> None:
    config = read(tmp_path, DATES + MODEL)
    changed = override_config(config, ["model.hidden_size=32", "model.architecture=bahdanau2014"], ARCHITECTURES)
    assert changed.model == bahdanau2014.small().model_copy(update={"hidden_size": 32})
    paper = override_config(config, ["model.architecture=bahdanau2014", "model.preset=paper"], ARCHITECTURES)
    assert paper.model == bahdanau2014.paper()


def test_overriding_the_preset_starts_from_that_preset(tmp_path: Path) -> None:
    config = read(tmp_path, DATES + MODEL + 'preset = "small"\n')
    changed = override_config(config, ["model.preset=big", "model.num_heads=8"], ARCHITECTURES)
    assert changed.model == transformer2017.big().model_copy(update={"num_heads": 8})


@pytest.mark.parametrize(
    "override", ["model.architecture=elman1990", "model.architecture=[1]", "model.hidden_size=3", "x"]
)
def test_overriding_a_config_is_strict(tmp_path: Path, override: str) -> None:
    config = read(tmp_path, DATES + MODEL)
    with pytest.raises(ConfigError):
        override_config(config, [override], ARCHITECTURES)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["small", "dates", "bpe", "x", "\0", ""]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
keys = st.sampled_from(
    [*DATA_PATHS, "corpus", "architecture", "preset", "hidden_size", "seed", "kind", "beam_size", "", "x"]
)
sections = st.sampled_from([*RunConfig.model_fields, "", "x"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    table=st.dictionaries(sections, values | st.dictionaries(keys, values, max_size=4), max_size=6), right=st.booleans()
)
def test_no_table_raises_anything_but_a_config_error(table: dict[str, Any], right: bool) -> None:
    if right:
        model = table.get("model")
        table["model"] = {**(model if isinstance(model, dict) else {}), "architecture": "transformer2017"}
        table["data"] = {"corpus": "dates"}
    try:
        config = parse_config(table, ARCHITECTURES, where="here")
    except ConfigError as error:
        assert error.where is not None
        assert error.where.startswith("here")
    else:
        assert parse_config(to_table(config), ARCHITECTURES, where="here") == config


def test_several_corpora_are_checked_each(tmp_path: Path) -> None:
    two = '[[data.corpora]]\nfile = "a.tsv"\n[[data.corpora]]\nfile = "b.tsv"\n'
    assert "unknown key `data.corpora.1.wieght`" in refusal(tmp_path, f"{two}wieght = 2\n{MODEL}").message
    assert "did you mean `weight`?" in str(refusal(tmp_path, f"{two}wieght = 2\n{MODEL}").fix)
    assert "a tag must be ASCII" in refusal(tmp_path, f'{two}tags = ["f r"]\n{MODEL}').message
    assert "needs a dev set" in refusal(tmp_path, f'[data]\nfile = "a"\nstreaming = true\n{MODEL}').message
    assert (
        "`weight` belongs in one of several" in refusal(tmp_path, f'[data]\nfile = "a"\nweight = 2.0\n{MODEL}').message
    )
    assert (
        "`temperature` needs `corpora`" in refusal(tmp_path, f'[data]\nfile = "a"\ntemperature = 2.0\n{MODEL}').message
    )
    sampled = f'[data]\nfile = "a"\n[tokenizer]\nkind = "word"\n[train]\nsubword_sampling = 0.1\n{MODEL}'
    assert refusal(tmp_path, sampled).message.startswith("train.subword_sampling needs a unigram or bpe tokenizer")
