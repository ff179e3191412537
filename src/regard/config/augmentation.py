"""The [augmentation] section of a recipe: how often training changes pairs as people change text."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from regard.config.data import Section

Level = Literal["off", "light", "full"]
Share = Annotated[float | None, Field(ge=0, le=1)]

LEVELS: dict[Level, dict[str, float]] = {
    "off": {},
    "light": {
        "upper_case": 0.02,
        "title_case": 0.02,
        "no_final_stop": 0.03,
        "typos": 0.1,
        "doubled_spaces": 0.02,
        "emoji": 0.0,
        "urls": 0.02,
        "names": 0.03,
        "numbers": 0.02,
    },
    "full": {
        "upper_case": 0.05,
        "title_case": 0.05,
        "no_final_stop": 0.08,
        "typos": 0.3,
        "doubled_spaces": 0.05,
        "emoji": 0.0,
        "urls": 0.05,
        "names": 0.08,
        "numbers": 0.05,
    },
}
"""The share of pairs that get each change."""


class AugmentationConfig(Section):
    """[augmentation]: the share of training pairs that are changed, differently each time they are used.

    A key that is not given has the share of `level`. Changes are independent: a pair may have several.
    """

    level: Level = Field("off", description="How many pairs are changed: none, few (`light`) or many (`full`).")
    upper_case: Share = Field(None, description="Share of pairs in capitals, on both sides.")
    title_case: Share = Field(None, description="Share of sources with a capital at each word, as in headlines.")
    no_final_stop: Share = Field(None, description="Share of pairs without their final full stop, on both sides.")
    typos: Share = Field(
        None,
        description="Share of sources with a typo, or several if they are long: two letters swapped, or one dropped, "
        "doubled or replaced.",
    )
    doubled_spaces: Share = Field(
        None, description="Share of sources with doubled spaces, which only `character` and `byte` tokenizers see."
    )
    emoji: Share = Field(None, description="Share of pairs with an emoji inserted at the same place of both sides.")
    urls: Share = Field(
        None, description="Share of pairs with a URL or an e-mail address inserted at the same place of both sides."
    )
    names: Share = Field(
        None, description="Share of pairs in which an invented name replaces a shared word, or is inserted."
    )
    numbers: Share = Field(
        None, description="Share of pairs in which the digits of a shared number are replaced on both sides."
    )

    @property
    def rates(self) -> dict[str, float]:
        """The share of pairs that get each change; changes that no pair gets are left out."""
        values = {name: getattr(self, name) for name in LEVELS["full"]}
        rates = {name: LEVELS[self.level].get(name, 0.0) if rate is None else rate for name, rate in values.items()}
        return {name: rate for name, rate in rates.items() if rate}
