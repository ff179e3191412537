"""What CTranslate2 makes of an exported folder is what the run makes."""

from __future__ import annotations

import builtins
import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from tests.unit.interop.models import (
    CASES,
    LINES,
    SIZES,
    checkpoint,
    said,
    sources,
    tagged,
    targets,
    taught,
    tokenizers,
)

from regard.checkpoints.checkpoint import Checkpoint
from regard.config.schema import ModelConfig, TokenizerConfig
from regard.decoding.shortlist import Shortlist
from regard.decoding.strategies import length_limit
from regard.errors import CheckpointError, ConfigError
from regard.inference.translator import Translator
from regard.interop.ctranslate2 import export_ctranslate2
from regard.models import bahdanau2014, modern, transformer2017
from regard.special_tokens import EOS, PAD
from regard.tokenizers.base import Tokenizer, train_tokenizers

ctranslate2 = pytest.importorskip("ctranslate2")


@pytest.fixture(scope="module", params=sorted(CASES))
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, Path, str]:
    """A run, the folder, and the lines of Python that use it."""
    contents = taught(str(request.param))
    folder = tmp_path_factory.mktemp("exported") / "ctranslate2"
    return contents, folder, export_ctranslate2(contents, folder)


def translator(folder: Path) -> Any:
    return ctranslate2.Translator(str(folder), inter_threads=1, intra_threads=1)


def cut(tokenizer: Tokenizer, lines: list[str]) -> list[list[str]]:
    return [tokenizer.pieces(tokenizer.encode(line)) for line in lines]


def test_scores_of_given_targets_are_ours(exported: tuple[Checkpoint, Path, str]) -> None:
    contents, folder, _ = exported
    given = targets(contents)
    pieces = [contents.tokenizers.target.pieces(row) for row in given[:, 1:].tolist()]
    found = translator(folder).score_batch(cut(contents.tokenizers.source, LINES), pieces)
    logits = contents.model(sources(contents), given)
    expected = logits[:, :, EOS:].log_softmax(-1)  # PAD and BOS have no share there
    for row, result in enumerate(found):
        wanted = [*given[row, 1:].tolist(), EOS]
        ours = [float(expected[row, place, token - EOS]) for place, token in enumerate(wanted)]
        np.testing.assert_allclose(result.log_probs, ours, rtol=0, atol=2e-5)


def test_greedy_output_is_ours(exported: tuple[Checkpoint, Path, str]) -> None:
    contents, folder, _ = exported
    lines = cut(contents.tokenizers.source, LINES)
    for one, pieces, ours in zip(LINES, lines, said(contents), strict=True):
        limit = length_limit(len(pieces), contents.config.search)
        [found] = translator(folder).translate_batch(
            [pieces], beam_size=1, min_decoding_length=0, max_decoding_length=limit
        )
        assert tuple(found.hypotheses[0]) == ours.tokens, one
    together = translator(folder).translate_batch(lines, beam_size=1, min_decoding_length=0, max_decoding_length=52)
    for found, ours in zip(together, said(contents), strict=True):
        assert tuple(found.hypotheses[0]) == ours.tokens[:52]


def test_the_lines_of_python_run(exported: tuple[Checkpoint, Path, str]) -> None:
    contents, _, usage = exported
    out = io.StringIO()
    with redirect_stdout(out):
        exec(usage.replace("a line", LINES[1]).replace("min_d", "beam_size=1, min_d"), {})
    assert out.getvalue().strip() == said(contents)[1].text


def test_a_run_with_tags_says_what_it_says_with_its_first_tag(tmp_path: Path) -> None:
    contents = tagged()
    usage = export_ctranslate2(contents, tmp_path / "out")
    assert ".prepend_tags(['de'])  # tags: de, fr" in usage
    ours = Translator(contents.model, contents.tokenizers, contents.config.search)
    with_tag, with_other = (ours.with_tags([tag]).translate(LINES[4]) for tag in ("de", "fr"))
    assert with_tag.finished and with_tag.text != with_other.text
    out = io.StringIO()
    with redirect_stdout(out):
        exec(usage.replace("a line", LINES[4]).replace("min_d", "beam_size=1, min_d"), {})
    assert out.getvalue().strip() == with_tag.text


def test_with_a_shortlist_a_sentence_is_said_as_ours_is(tmp_path: Path) -> None:
    contents = taught("transformer2017/marian")  # which has two vocabularies
    source, target = contents.tokenizers.source, contents.tokenizers.target
    dice = torch.Generator().manual_seed(2)
    candidates = torch.randint(EOS + 1, target.size, (source.size, 6), generator=dice, dtype=torch.int32)
    candidates[7:, 4:] = PAD
    shortlist = Shortlist(candidates, torch.tensor(target.encode("THE FOX"), dtype=torch.int32))
    usage = export_ctranslate2(contents, tmp_path / "out", shortlist)
    ours = Translator(contents.model, contents.tokenizers, contents.config.search, shortlist=shortlist)
    found = [best.tokens for best in ours.translate(LINES, shortlist=True)]
    for line, pieces, expected in zip(LINES, cut(source, LINES), found, strict=True):
        [one] = translator(tmp_path / "out").translate_batch(
            [pieces],
            beam_size=1,
            min_decoding_length=0,
            max_decoding_length=length_limit(len(pieces), contents.config.search),
            use_vmap=True,
        )
        assert tuple(one.hypotheses[0]) == expected, line
    assert [one.tokens for one in said(contents)] != found
    out = io.StringIO()
    with redirect_stdout(out):
        exec(usage.replace("a line", LINES[1]).replace("min_d", "beam_size=1, min_d"), {})
    assert out.getvalue().strip() == target.decode(_ids(target, found[1]))


def _ids(tokenizer: Tokenizer, pieces: tuple[str, ...]) -> list[int]:
    every = tokenizer.pieces(range(tokenizer.size))
    return [every.index(piece) for piece in pieces]


def test_a_vocabulary_map_has_no_piece_that_would_break_its_lines(tmp_path: Path) -> None:
    both = train_tokenizers(TokenizerConfig(kind="character"), [("a\tb", "b a\t")])
    tab, one = both.target.encode("\ta")
    rows = torch.tensor([[id, one] if id > EOS else [PAD, PAD] for id in range(both.source.size)], dtype=torch.int32)
    shortlist = Shortlist(rows, torch.tensor([one, tab], dtype=torch.int32))
    export_ctranslate2(checkpoint(transformer2017.Config(**SIZES), both), tmp_path / "out", shortlist)
    written = (tmp_path / "out" / "vmap.txt").read_text()
    assert sorted(written.splitlines()) == ["\ta", "<unk>\t<unk> a", "a\ta a", "b\tb a", "▁\t▁ a"]


@pytest.mark.parametrize("kind", ["character", "word", "byte"])
def test_other_tokenizers_come_along_in_files_of_ours(kind: str, tmp_path: Path) -> None:
    both = train_tokenizers(TokenizerConfig.model_validate({"kind": kind}), [("ab ab", "ba")])
    usage = export_ctranslate2(checkpoint(transformer2017.Config(**SIZES), both), tmp_path / "out")
    out = io.StringIO()
    with redirect_stdout(out):
        exec(usage.replace("a line", "ab ab").replace("min_d", "max_decoding_length=5, min_d"), {})
    assert out.getvalue()


def refused(config: ModelConfig, place: Path, *said: str) -> None:
    with pytest.raises(CheckpointError) as error:
        export_ctranslate2(checkpoint(config, tokenizers()), place)
    for part in (*said, "what to do:"):
        assert part in str(error.value)


def test_what_cannot_be_held_is_refused(tmp_path: Path) -> None:
    refused(modern.Config(**SIZES, decoder="ssru"), tmp_path / "out", "ssru", "decoder = attention")
    refused(
        bahdanau2014.Config(hidden_size=8, embedding_size=8, attention_size=8, maxout_size=8),
        tmp_path / "out",
        "bahdanau2014",
    )
    (tmp_path / "mine").write_text("mine")
    refused(transformer2017.Config(**SIZES), tmp_path, "already")


def test_tokens_that_are_written_alike_are_refused(tmp_path: Path) -> None:
    both = train_tokenizers(TokenizerConfig(kind="character"), [("a ▁", "b")])
    with pytest.raises(CheckpointError, match="2 tokens of the source vocabulary are written '▁'"):
        export_ctranslate2(checkpoint(transformer2017.Config(**SIZES), both), tmp_path / "out")


def test_without_ctranslate2_it_says_how_to_install_it(tmp_path: Path) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any, **options: Any) -> Any:
        if name.startswith("ctranslate2"):
            raise ImportError(name)
        return real(name, *rest, **options)

    with mock.patch.object(builtins, "__import__", missing), pytest.raises(ConfigError, match="pip install"):
        export_ctranslate2(checkpoint(transformer2017.Config(**SIZES), tokenizers()), tmp_path / "out")
