"""Values of a recipe that are names: of a tokenizer, a search and so on, regard's own or a plugin's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from regard.errors import suggest
from regard.plugins.names import BUILT_IN, NOUNS, Kind
from regard.plugins.registry import find_plugin, valid_names

UNKNOWN_NAME = "unknown_name"  # the type of its validation error, whose context has `problem` and `fix`


@dataclass(frozen=True)
class NameOf:
    """Annotates a key whose value is the name of something that plugins can add. Other names are an error.

    Attributes:
        kind: What it names.
        without: Names of regard that are not valid for this key.
    """

    kind: Kind
    without: tuple[str, ...] = ()

    @property
    def built_in(self) -> list[str]:
        """The valid names that regard itself has."""
        return [name for name in BUILT_IN[self.kind] if name not in self.without]

    def check(self, value: str | None) -> str | None:
        """Return a name if it is valid, or None. Raise PydanticCustomError for another name."""
        names = [name for name in valid_names(self.kind) if name not in self.without]
        if value is None or value in names:
            return value
        problem, fix = f"unknown {NOUNS[self.kind]} {value!r}", f"{suggest(value, names)}; a plugin can add others"
        raise PydanticCustomError(UNKNOWN_NAME, "{problem} ({fix})", {"problem": problem, "fix": fix})

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of the annotated type, followed by `check`."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))


def used_plugins(section: BaseModel) -> Iterator[str]:
    """Yield the plugins that have what the names in a section stand for."""
    for key, field in type(section).model_fields.items():
        for annotation in field.metadata:
            if isinstance(annotation, NameOf):
                plugin = find_plugin(annotation.kind, getattr(section, key))
                if plugin is not None:
                    yield plugin
