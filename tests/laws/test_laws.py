"""Every architecture obeys every law of regard.testing."""

from __future__ import annotations

import pytest
from tests.laws.cases import CASES, LONG_CASES

from regard.contract import Decoder
from regard.models import ARCHITECTURES
from regard.nn import int8
from regard.testing import LAWS, Law
from regard.testing.architecture import LONG_LAWS
from regard.testing.inference import freeze_in_8_bits, has_8_bit_layers

SHORT_LAWS = [law for law in LAWS if law not in LONG_LAWS]


@pytest.mark.parametrize("cases", [CASES, LONG_CASES])
def test_every_architecture_is_tested(cases: dict[str, object]) -> None:
    assert {name.split("/")[0] for name in cases} == set(ARCHITECTURES)


@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.parametrize("law", SHORT_LAWS, ids=str)
def test_law(law: Law, name: str) -> None:
    law(CASES[name])


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_decoder_computes_subsets_and_in_8_bits(name: str) -> None:
    """Laws check these only for decoders that can do them."""
    model = CASES[name].model()
    assert type(model.decoder).readout_subset is not Decoder.readout_subset
    if int8.available():
        assert has_8_bit_layers(freeze_in_8_bits(model.float()))


@pytest.mark.parametrize("name", sorted(LONG_CASES))
@pytest.mark.parametrize("law", [law for law in LAWS if law in LONG_LAWS], ids=str)
def test_law_with_long_targets(law: Law, name: str) -> None:
    law(LONG_CASES[name])
