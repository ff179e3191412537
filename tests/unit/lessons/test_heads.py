"""Lesson 5: what is measured of heads, and Transformers without positions or without the mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import regard.lessons
from regard.contract import Seq2Seq, VocabularySizes
from regard.lessons.ablation import Ablation, ablate
from regard.lessons.heads import START, aligned_characters, relations, shuffle
from regard.models.transformer2017 import Config, build
from regard.nn import position, transformer
from regard.special_tokens import BOS, EOS

TWO_DATES = ("Mo., 1. Aug. 1909; 22 de fev. de 2054", "1909-08-01 2054-02-22")


def model(part: Ablation | None) -> Seq2Seq:
    torch.manual_seed(1)
    config = Config(encoder_layers=1, decoder_layers=1, hidden_size=8, ffn_size=16, num_heads=2, dropout=0.0)
    with ablate(part):
        return build(config, VocabularySizes(12, 12, joint=False)).eval()


def test_a_target_character_is_aligned_with_the_field_that_it_is_read_from() -> None:
    source, target = TWO_DATES
    aligned = [source[places.start : places.stop] for places in aligned_characters(source, target)]
    first = ["1909"] * 4 + ["", "Aug", "Aug", "", "1", "1", ""]
    assert aligned == first + ["2054"] * 4 + ["", "fev", "fev", "", "22", "22"]


def test_relations_hold_where_their_names_say() -> None:
    encoder = relations("encoder", "3 mai", "", {"m"})
    assert encoder["previous"].sum() == encoder["next"].sum() == 5
    assert encoder["rest of the word"][2].tolist() == [0, 0, 0, 1, 1, 0]
    assert encoder["separator"][0].tolist() == [0, 1, 0, 0, 0, 0]
    assert encoder["rare character"][3].tolist() == [0, 0, 1, 0, 0, 0]
    assert encoder["digit"][5].tolist() == [1, 0, 0, 0, 0, 0]
    assert encoder["same date"].all()
    dates = relations("encoder", "3 mai; 4 mai", "", set())["same date"]
    assert dates[0].sum() == 5
    assert not dates[0, 6]
    decoder = relations("decoder", "", "19-", set())
    assert decoder["start token"].sum(0).tolist() == [4, 0, 0, 0]
    assert decoder["separator"][3].tolist() == [0, 0, 0, 1]
    assert START not in decoder


def test_shuffled_text_has_the_same_characters_and_spaces() -> None:
    text = "22 de fev. 2054"
    shuffled = shuffle(text, 1)
    assert shuffled != text
    assert sorted(shuffled) == sorted(text)
    assert [place for place, character in enumerate(shuffled) if character == " "] == [2, 5, 10]


def test_without_positions_an_encoder_does_not_see_the_order() -> None:
    tokens, order = torch.tensor([[5, 6, 7, 8, EOS]]), [2, 0, 3, 1, 4]
    with torch.inference_mode():
        parts: tuple[Ablation | None, ...] = (None, "positions")
        for part in parts:
            encoder = model(part)
            same = torch.allclose(
                encoder.encode(tokens).keys[:, order], encoder.encode(tokens[:, order]).keys, atol=1e-5
            )
            assert same == (part == "positions")


def test_without_the_mask_the_first_row_sees_the_last_token() -> None:
    ablated = model("mask")
    source, target = torch.tensor([[5, 6, EOS]]), torch.tensor([[BOS, 7, 8]])
    changed = target.clone()
    changed[0, -1] = 9
    with torch.inference_mode():
        memory = ablated.encode(source)
        parts: tuple[Ablation | None, ...] = (None, "mask")
        for part in parts:
            with ablate(part):
                first, second = (ablated.decoder(tokens, memory).features[:, 0] for tokens in (target, changed))
            assert torch.allclose(first, second, atol=1e-6) == (part is None)


def test_what_is_taken_away_is_given_back() -> None:
    before = dict(vars(position)), dict(vars(transformer))
    parts: tuple[Ablation, ...] = ("positions", "mask")
    for part in parts:
        with pytest.raises(RuntimeError, match="inside"), ablate(part):
            raise RuntimeError("inside")
    assert before == (vars(position), vars(transformer))


def test_the_figure_shows_what_the_lesson_says() -> None:
    measured = regard.lessons.figure("heads")
    source = measured["shares"]["source"]
    place = source["relations"].index("aligned field")
    assert np.array(source["heads"])[1, :, place].min() > 4 * source["equal"][place]
    encoder = measured["shares"]["encoder"]
    for name in ("previous", "rare character"):
        place = encoder["relations"].index(name)
        assert np.array(encoder["heads"])[:, :, place].max() < encoder["equal"][place] + 0.15
    systems = measured["positions"]["systems"]
    assert min(systems["with positions"]["exact"]) > 0.9
    for name in ("positions set to zero", "trained without"):
        assert max(systems[name]["exact"]) < 0.3
        assert systems[name]["unmoved"] == 1
    masked, unmasked = measured["mask"]["systems"]["with"], measured["mask"]["systems"]["without"]
    assert unmasked["loss"] < 0.01
    assert unmasked["masked_loss"] > 1
    assert masked["exact"] > 0.9
    assert unmasked["exact"] == 0
