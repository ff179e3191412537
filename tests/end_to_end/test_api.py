"""`import regard`: training, translating and looking in Python, as the command line does."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console
from tests.end_to_end.helpers import Files, call, recipe

import regard
from regard.checkpoints.checkpoint import load_checkpoint
from regard.checkpoints.run_folder import resolve_checkpoint
from regard.config.overrides import Override
from regard.config.schema import DataConfig
from regard.errors import CheckpointError, ConfigError, DataError, RegardError
from regard.runs import auto_recipe
from regard.runs.training_recipe import choose_recipe
from regard.runs.training_request import TrainingRequest

SIZES = {"encoder_layers": 1, "decoder_layers": 1, "hidden_size": 16, "ffn_size": 16, "num_heads": 2}
TINY: dict[str, object] = {
    **{f"model.{key}": value for key, value in SIZES.items()},
    "train.max_steps": 2,
    "train.tokens_per_batch": 512,
    "train.precision": "float32",
    "search.beam_size": 2,
}

if TYPE_CHECKING:  # what mypy must accept, and must find wrong: an ignored line without an error is an error

    def check_types(run: regard.Translator) -> None:
        regard.train(source="a.en", target="a.de", output="run", minutes=30, architecture="modern", device="cpu")
        regard.train(data="a.tsv", overrides={"train.seed": 7}, quiet=True)
        regard.train(corpus="dates")
        regard.train("recipe.toml", "run", source="a.en", target="a.de")
        regard.train(source="a.en")  # type: ignore[call-overload]
        regard.train(source="a.en", target="a.de", minute=30)  # type: ignore[call-overload]
        regard.train(source="a.en", target="a.de", minutes="30")  # type: ignore[call-overload]
        regard.train(corpus="letters")  # type: ignore[call-overload]
        regard.train("recipe.toml", device="gpu")  # type: ignore[call-overload]
        regard.compare(runs=["a", "b"], quiet=True).rows.clear()
        regard.compare(runs=["a"], minutes=3)  # type: ignore[call-overload]
        regard.compare(corpus="dates", architectures=["modern"], minutes=3)
        regard.load("run", precision="int4")  # type: ignore[arg-type]
        regard.attend(run, "A dog.", beam_size=3).weights("source", 1)
        regard.attend(run, "A dog.", beam="3")  # type: ignore[call-arg]


def test_train_does_what_the_command_does(files: Files, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source, target = files / "train.src", files / "train.tgt"
    options = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    options += ["--architecture", "transformer2017", "--device", "cpu", "--source-language", "xx"]
    options += ["--dev-source", str(files / "dev.src"), "--dev-target", str(files / "dev.tgt")]
    finished = call("train", "--source", source, "--target", target, "-o", tmp_path / "command", *options)
    assert finished.code == 0, finished.err
    assert "model: transformer2017 (from --architecture)" in finished.err
    capfd.readouterr()
    result = regard.train(
        source=str(source),
        target=target,
        output=tmp_path / "python",
        architecture="transformer2017",
        device="cpu",
        source_language="xx",
        dev_source=files / "dev.src",
        dev_target=files / "dev.tgt",
        overrides=TINY,
        quiet=True,
    )
    output = capfd.readouterr()
    assert (output.out, output.err) == ("", "")
    assert (result.folder, result.end, result.step) == (tmp_path / "python", "steps", 2)
    written = [(tmp_path / name / "recipe.toml").read_text() for name in ("command", "python")]
    assert written[0] == written[1]
    assert str(result).startswith(f"{tmp_path / 'python'}: finished all steps, at step 2; best on dev: ")
    assert f"<td dir=auto>{tmp_path / 'python'}</td>" in result._repr_html_()
    assert regard.resume(result.folder, {"train.max_steps": 3}, quiet=True).step == 3
    assert capfd.readouterr() == ("", "")
    translator = regard.load(result.folder, "cpu")
    assert isinstance(translator, regard.Translator)
    parameters = load_checkpoint(resolve_checkpoint(result.folder)).model.num_parameters
    assert f"Translator: xx to ?, {parameters:,} parameters" in repr(translator)  # also of packed layers


def test_a_recipe_is_trained_from_its_file_or_its_value(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe(files)
    monkeypatch.chdir(tmp_path)
    console = Console(record=True, width=100, file=io.StringIO())
    options: dict[str, Any] = {"overrides": ["train.max_steps=1"], "console": console}
    assert regard.train(files / "tiny.toml", **options).folder == Path("runs/tiny")
    assert "step 1: dev" in console.export_text()
    config = recipe(files, max_steps=1)
    changed = regard.train(config, "changed", minutes=5, overrides="train.seed=3", quiet=True)
    written = regard.read_recipe(changed.folder / "recipe.toml").train
    assert (written.max_minutes, written.seed) == (5, 3)


@pytest.mark.parametrize(
    ("options", "where", "message"),
    [
        ({"source": "a", "target": "b", "minuts": 3}, "regard.train", "did you mean `minutes`"),
        ({"source": "a"}, "regard.train", "both source and target, or data"),
        ({}, "regard.train", "nothing to train on"),
        ({"data": "a.tsv", "dev_source": "c"}, "regard.train", "both dev_source and dev_target, or dev_data"),
        ({"data": "a.tsv", "extend_vocabulary": 9}, "extend_vocabulary", "name the run that has it by start"),
        ({"data": "a.tsv", "architecture": "transformer"}, "architecture", "did you mean `transformer2017`"),
        ({"data": "a.tsv", "preset": "smal"}, "preset", "did you mean `small`"),
        ({"data": "a.tsv", "minutes": -1}, "minutes", "greater than 0"),
        ({"data": "a.tsv", "device": "gpu"}, "device", "'cuda'"),
        ({"data": "a.tsv", "overrides": {"train.sede": 1}}, "overrides", "did you mean `seed`"),
        ({"corpus": "letters"}, "corpus", "'dates' or 'numbers'"),
        ({"corpus": "dates", "dev_data": "a.tsv"}, "regard.train", "has its own dev set"),
        ({"data": "no-such-file.tsv"}, None, "no-such-file.tsv"),
    ],
)
def test_a_wrong_option_is_an_error_before_the_corpus_is_read(
    options: dict[str, Any], where: str | None, message: str
) -> None:
    with pytest.raises(RegardError) as error:
        regard.train(**options, quiet=True)
    assert message in str(error.value)
    assert where is None or error.value.where == where
    assert "--" not in str(error.value)
    assert isinstance(error.value, DataError if where is None else ConfigError)


def test_a_built_in_corpus_and_datasets_have_their_keys_and_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[DataConfig] = []

    def choose(data: DataConfig, *_: object, **__: object) -> Any:
        chosen.append(data)
        raise ConfigError("enough")

    monkeypatch.setattr(auto_recipe, "choose_recipe", choose)
    names = [{"corpus": "numbers"}, {"corpus": "dates"}, {"data": "hf:opus", "dev_data": "mtdata:dev"}]
    for files in names:
        with pytest.raises(ConfigError, match="enough"):
            choose_recipe(TrainingRequest(files=files), lambda _: None)
    pairs = [(data.source_language, data.target_language) for data in chosen]
    assert pairs == [("en", "de"), ("", "iso"), ("", "")]
    assert (chosen[2].dataset, chosen[2].dev_mtdata, chosen[1].corpus) == ("opus", "dev", "dates")


def test_a_value_that_cannot_change_names_the_option_that_set_it(run: Path) -> None:
    for origin in ("--architecture", "overrides"):
        override = Override("model.hidden_size=48", origin) if origin != "overrides" else "model.hidden_size=48"
        with pytest.raises(ConfigError, match="cannot change after a run has started") as error:
            regard.resume(run, [override], quiet=True)
        assert error.value.where == origin


def test_attention_of_a_pair(translator: regard.Translator) -> None:
    maps = regard.attend(translator, "12 345")
    assert maps.source.words == ("12", "345", "</s>")
    assert "".join(maps.target.tokens[:-1]).replace("▁", " ") == translator.translate("12 345").text
    assert maps.mean.shape == (len(maps.target.tokens), len(maps.source.tokens))
    sizes = f"{len(maps.source.tokens)} source and {len(maps.target.tokens)} target tokens"
    assert f"{sizes}; layers x heads: source 1 x 2, encoder 1 x 2, decoder 1 x 2" in repr(maps)
    forced = regard.attend(translator, "12", "99")
    assert forced.target.tokens == ("9", "9", "</s>")
    assert '"tokens":["9","9","</s>"]'.replace("<", "\\u003c") in forced._repr_html_()
    with pytest.raises(DataError, match="more than 512 tokens"):
        regard.attend(translator, "1" * 600)


def test_a_run_that_is_not_there_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        regard.load(tmp_path / "none")


def test_a_translation_shows_text_score_alternatives_and_attention(translator: regard.Translator) -> None:
    best = translator.translate("12 345", top_beams=2, with_attention=True)
    assert (str(best), repr(best)) == (best.text, f"Translation({best.text!r}, score={best.score:.3f})")
    html = best._repr_html_()
    assert best.text in html and best.alternatives[0].text in html and f"score {best.score:.3f}" in html
    assert best.target_tokens == (*best.tokens, "</s>")
    tokens = json.dumps(best.source_tokens, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    assert f'"source":{{"tokens":{tokens}' in html
    assert "<script" not in translator.translate("12 345")._repr_html_()
