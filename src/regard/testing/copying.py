"""The law of decoders that copy source tokens (regard.nn.copying)."""

from __future__ import annotations

from regard.nn.copying import CopyingOutput
from regard.special_tokens import PAD
from regard.testing.assertions import ATTENTION, TARGET, assert_close, assert_distribution
from regard.testing.case import Case
from regard.testing.law import law
from regard.testing.sequences import SOURCES, TARGETS


@law("tokens are copied from another place or sentence than attention points to")
def copies_have_the_probability_of_their_attention(case: Case) -> None:
    """A decoder that copies gives each token p_gen P_vocab, plus 1 - p_gen times the attention to it in its source.

    This is equation 9 of See et al. 2017. Nothing is checked if the decoder does not copy.
    """
    model = case.model()
    output = getattr(model.decoder, "output", None)
    if not isinstance(output, CopyingOutput):
        return
    features = model.features(SOURCES, TARGETS).features  # (B, T, F + 1 + 2 S)
    generated, gate, copied = features.split((output.size, 1, 2 * SOURCES.shape[1]), -1)
    attention = copied.unflatten(-1, (-1, 2))[..., 0]  # (B, T, S)
    assert_distribution(attention, SOURCES.ne(PAD)[:, None].expand_as(attention), "the attention to copies", ATTENTION)
    p_gen = gate.sigmoid()
    expected = p_gen * output.linear(generated).softmax(-1)  # (B, T, V)
    for row, source in enumerate(SOURCES.tolist()):
        for position, token in enumerate(source):
            expected[row, :, token] += (1 - p_gen[row, :, 0]) * attention[row, :, position]
    actual = model(SOURCES, TARGETS).softmax(-1)
    assert_close(actual, expected, "the probabilities of the decoder and of equation 9", TARGET)
