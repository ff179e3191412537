"""What is asked and answered, as the OpenAPI document says it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

Text = Annotated[str, Field(min_length=1)]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class TranslateRequest(BaseModel):
    """POST /translate."""

    q: Annotated[str | list[str], Field(min_length=1, description="A text, or several")]
    source: Text = Field(description="The code of a language, or auto")
    target: Text
    format: Literal["text", "html"] = "text"
    alternatives: int = Field(0, ge=0, description="How many other translations are wanted; of HTML none is given")
    model: str | None = Field(None, description="Which, where several serve the pair; an addition to LibreTranslate's")
    api_key: str | None = None


class Detected(BaseModel):
    """A language, and how sure it is: 0 to 100."""

    confidence: float = Field(ge=0, le=100)
    language: str


class Untranslated(BaseModel):
    """What of a text stays as it was, and why; an addition to LibreTranslate's."""

    text: int = Field(description="Which of the texts, from 1")
    source: str
    why: str


class TranslateAnswer(BaseModel):
    """As many texts, alternatives and detected languages as were asked for: one of each, or a list."""

    translatedText: str | list[str]
    detectedLanguage: Detected | list[Detected] | None = None
    alternatives: list[str] | list[list[str]] | None = None
    untranslated: list[Untranslated] | None = None


class DetectRequest(BaseModel):
    """POST /detect."""

    q: Text
    api_key: str | None = None


class Language(BaseModel):
    """A language, and those that it can be translated to."""

    code: str
    name: str
    targets: list[str]


class Named(BaseModel):
    """A language."""

    code: str
    name: str


class Languages(BaseModel):
    """Those that a page begins with."""

    source: Named
    target: Named


class Settings(BaseModel):
    """GET /frontend/settings."""

    charLimit: int
    frontendTimeout: int = Field(description="Milliseconds after the last key before a text is sent")
    apiKeys: bool
    keyRequired: bool
    suggestions: bool
    filesTranslation: bool
    supportedFilesFormat: list[str]
    language: Languages


class Health(BaseModel):
    """GET /health."""

    status: str


class Error(BaseModel):
    """What LibreTranslate's clients read."""

    error: str


class Message(BaseModel):
    """What DeepL's clients read."""

    message: str


class DeepLRequest(BaseModel):
    """POST /v2/translate."""

    text: Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]
    target_lang: Text
    source_lang: str | None = None
    tag_handling: Literal["html"] | None = None
    formality: str | None = Field(None, description="default, prefer_more or prefer_less")
    glossary_id: str | None = Field(None, description="There are none")
    split_sentences: Literal["0", "1", "nonewlines"] | None = Field(
        None, description="0: each text is one segment; 1: at line breaks and sentences; nonewlines: at sentences alone"
    )


class DeepLTranslation(BaseModel):
    """One text."""

    detected_source_language: str
    text: str
    billed_characters: int


class DeepLAnswer(BaseModel):
    """In the order of the texts."""

    translations: list[DeepLTranslation]


class DeepLLanguage(BaseModel):
    """GET /v2/languages."""

    language: str
    name: str
    supports_formality: bool = False


class DeepLUsage(BaseModel):
    """Characters since the server began."""

    character_count: int
    character_limit: int


class Model(BaseModel):
    """GET /models."""

    name: str
    architecture: str
    source: str
    target: str
    attends: bool
    parameters: int
    tag: str | None


class AttentionRequest(BaseModel):
    """POST /attention."""

    q: Text = Field(description="A text; the attention is that of its first sentence")
    source: Text
    target: Text
    model: str | None = Field(None, description="Which, where several serve the pair")
    target_text: str | None = Field(None, description="What the first sentence is to become, if not the model's own")
    split_sentences: bool | None = Field(None, description="False: q is one sentence. Default: as the run was trained")
    alternatives: int = Field(0, ge=0)
    api_key: str | None = None


class Hypothesis(BaseModel):
    """What the beam found: its tokens as they are written, and whether it has an end."""

    text: str
    score: float
    tokens: list[str]
    finished: bool


class Segment(BaseModel):
    """Characters (code points) start to end of the text, and target_start to target_end of its translation."""

    start: int
    end: int
    target_start: int
    target_end: int


class AttentionAnswer(BaseModel):
    """translatedText and sentences are those of the whole text; the rest is about its first sentence.

    score: what the translation is ranked by; of a target_text, its log-probability in nats.
    looks: what regard.attention.explorer.table gives; null where the sentence is too long, as `note` says then.
    """

    translatedText: str
    sentences: list[Segment]
    score: float
    alternatives: list[Hypothesis]
    model: Model
    looks: dict[str, Any] | None
    note: str = ""
