"""docs/reference.md lists all recipe keys as the schema has them, and the schema describes each."""

from pathlib import Path

from pydantic import BaseModel

from regard.config.schema import DataConfig, RunConfig, SearchConfig, StartConfig, TokenizerConfig, TrainConfig
from regard.models import ARCHITECTURES
from regard.runs.recipe_reference import make_reference

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"
SECTIONS: tuple[type[BaseModel], ...] = (DataConfig, TokenizerConfig, TrainConfig, SearchConfig, StartConfig)
MODELS: tuple[type[BaseModel], ...] = tuple(architecture.config for architecture in ARCHITECTURES.values())


def test_reference_is_up_to_date() -> None:
    command = "python -m regard.runs.recipe_reference docs/reference.md"
    assert PAGE.read_text(encoding="utf-8") == make_reference(), f"run {command}"


def test_every_key_is_described() -> None:
    for section in (*SECTIONS, *MODELS):
        missing = [key for key, field in section.model_fields.items() if not field.description]
        assert not missing, f"{section.__name__}: {missing}"


def test_every_section_is_listed() -> None:
    for name in RunConfig.model_fields:
        assert f"## [{name}]" in make_reference()
