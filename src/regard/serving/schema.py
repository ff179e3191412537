"""Request and response models of all endpoints, as in the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

Text = Annotated[str, Field(min_length=1)]


def _to_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class TranslateRequest(BaseModel):
    """POST /translate."""

    q: Annotated[str | list[str], Field(min_length=1, description="One text, or a list of texts")]
    source: Text = Field(description="A language code, or auto")
    target: Text
    format: Literal["text", "html"] = "text"
    alternatives: int = Field(0, ge=0, description="Number of alternative translations; none for HTML")
    model: str | None = Field(
        None, description="Name of the model, if several serve the language pair; not in LibreTranslate"
    )
    prefix: str = Field(
        "",
        description="Beginning of the translation of a single text; a space at its end completes its last word. "
        "Not in LibreTranslate",
    )
    sentences: bool = Field(False, description="Return where each sentence is. Not in LibreTranslate")
    glossary_id: str | None = Field(
        None, description="A glossary whose terms the translation has (see /v2/glossaries); not in LibreTranslate"
    )
    confidence: bool = Field(
        False, description="Whether to answer how sure the model is of each translation and word; not in LibreTranslate"
    )
    min_confidence: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Sentences of which the model is less sure stay untranslated; not in LibreTranslate",
    )
    api_key: str | None = None


class Detected(BaseModel):
    """A detected language with its confidence, from 0 to 100."""

    confidence: float = Field(ge=0, le=100)
    language: str


class Untranslated(BaseModel):
    """A part of a text that was left untranslated, and why. Not in LibreTranslate."""

    text: int = Field(description="Number of the text, from 1")
    source: str
    why: str


class Segment(BaseModel):
    """Offsets, in code points, of a sentence in the text and of its translation in the translated text."""

    start: int
    end: int
    target_start: int
    target_end: int


class NumberDifference(BaseModel):
    """A number, address, currency or unit that is not the same in a translation. Not in LibreTranslate."""

    text: int = Field(description="Number of the text, from 1")
    kind: Literal["number", "address", "currency", "unit"]
    source: str = Field(description="What the text has; empty if nothing")
    target: str = Field(description="What its translation has instead; empty if nothing")


class WordConfidence(BaseModel):
    """A word of a translation: its offsets, in code points, and the probability that it is right."""

    start: int
    end: int
    confidence: float = Field(ge=0, le=1)


class TranslateAnswer(BaseModel):
    """Single values for a single text, lists for a list of texts. HTML has no words."""

    translatedText: str | list[str]
    detectedLanguage: Detected | list[Detected] | None = None
    alternatives: list[str] | list[list[str]] | None = None
    untranslated: list[Untranslated] | None = None
    pivot: str | None = Field(None, description="Language through which it was translated; not in LibreTranslate")
    sentences: list[Segment] | list[list[Segment]] | None = None
    numbers: list[NumberDifference] | None = None
    confidence: float | list[float] | None = None
    words: list[WordConfidence] | list[list[WordConfidence]] | None = None


class FileRequest(BaseModel):
    """POST /translate_file: a multipart form, whose field `file` is the file."""

    source: Text = Field(description="A language code, or auto")
    target: Text
    glossary_id: str | None = Field(None, description="Glossary of this server; not in LibreTranslate")
    api_key: str | None = None


class FileAnswer(BaseModel):
    """The translated file is at this URL, which only the one who sent the file knows, until it is deleted."""

    translatedFileUrl: str
    untranslated: int | None = Field(None, description="Entries that stay untranslated; not in LibreTranslate")
    pivot: str | None = Field(None, description="Language through which it was translated; not in LibreTranslate")


class SuggestRequest(BaseModel):
    """POST /suggest."""

    q: Text = Field(description="The text")
    s: Text = Field(description="Its better translation")
    source: Text = Field(description="A language code, or auto")
    target: Text
    model: str | None = Field(
        None, description="Name of the model, if several serve the language pair; not in LibreTranslate"
    )
    origin: str = Field("suggest", max_length=40, description="Who corrects, such as page; not in LibreTranslate")
    api_key: str | None = None


class SuggestAnswer(BaseModel):
    """The suggestion is kept."""

    success: bool


class DetectRequest(BaseModel):
    """POST /detect."""

    q: Text
    api_key: str | None = None


class Language(BaseModel):
    """A language with its target languages."""

    code: str
    name: str
    targets: list[str]


class LanguageName(BaseModel):
    """A language with its English name."""

    code: str
    name: str


class Languages(BaseModel):
    """The default languages of a web page."""

    source: LanguageName
    target: LanguageName


class Settings(BaseModel):
    """GET /frontend/settings."""

    charLimit: int
    frontendTimeout: int = Field(description="Milliseconds after the last keystroke before a text is sent")
    apiKeys: bool
    keyRequired: bool
    suggestions: bool
    filesTranslation: bool
    supportedFilesFormat: list[str]
    fileLimit: int = Field(description="Largest size of a file, in bytes; not in LibreTranslate")
    glossaries: bool = Field(description="Whether glossaries can be stored and used; not in LibreTranslate")
    confidence: bool = Field(description="Whether a model can answer how sure it is; not in LibreTranslate")
    language: Languages


class Health(BaseModel):
    """GET /health."""

    status: str


class Error(BaseModel):
    """An error in LibreTranslate's format."""

    error: str


class Message(BaseModel):
    """An error in DeepL's format."""

    message: str


class DeepLRequest(BaseModel):
    """POST /v2/translate."""

    text: Annotated[list[str], BeforeValidator(_to_list), Field(min_length=1)]
    target_lang: Text
    source_lang: str | None = None
    tag_handling: Literal["html"] | None = None
    formality: str | None = Field(None, description="default, prefer_more or prefer_less")
    glossary_id: str | None = Field(None, description="A glossary whose terms the translations have")
    glossary_ids: Annotated[list[str] | None, BeforeValidator(_to_list)] = Field(
        None, description="Up to 5 glossaries; earlier ones take precedence"
    )
    split_sentences: Literal["0", "1", "nonewlines"] | None = Field(
        None, description="0: each text is one segment; 1: at line breaks and sentences; nonewlines: at sentences only"
    )


class DeepLTranslation(BaseModel):
    """One translated text."""

    detected_source_language: str
    text: str
    billed_characters: int
    pivot: str | None = Field(None, description="Language through which it was translated; not in DeepL")


class DeepLAnswer(BaseModel):
    """The translations, in the order of the texts."""

    translations: list[DeepLTranslation]


class DeepLDocumentRequest(BaseModel):
    """POST /v2/document: a multipart form, whose field `file` is the file."""

    target_lang: Text
    source_lang: str | None = None
    filename: str | None = Field(None, description="Name of the file, if that in the form lacks the suffix")
    output_format: str | None = Field(None, description="Only that of the file")
    formality: str | None = Field(None, description="default, prefer_more or prefer_less")
    glossary_id: str | None = None
    glossary_ids: str | None = Field(None, description="Identifiers of glossaries, separated by commas")


class DeepLDocumentKey(BaseModel):
    """The secret of a document."""

    document_key: str


class DeepLDocument(DeepLDocumentKey):
    """A document that is being translated."""

    document_id: str


class DeepLDocumentStatus(BaseModel):
    """POST /v2/document/{id}."""

    document_id: str
    status: Literal["queued", "translating", "done", "error"]
    billed_characters: int | None = None
    error_message: str | None = None


class DeepLLanguage(BaseModel):
    """GET /v2/languages."""

    language: str
    name: str
    supports_formality: bool = False


class DeepLUsage(BaseModel):
    """Number of characters since the server started."""

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
    confidence: bool = Field(description="Whether it can answer how sure it is")


class AttentionRequest(BaseModel):
    """POST /attention."""

    q: Text = Field(description="A text; attention weights are returned for its first sentence")
    source: Text
    target: Text
    model: str | None = Field(None, description="Name of the model, if several serve the language pair")
    target_text: str | None = Field(None, description="Translation to force for the first sentence")
    split_sentences: bool | None = Field(None, description="False: q is one sentence. Default: as in training")
    alternatives: int = Field(0, ge=0)
    api_key: str | None = None


class AlternativesRequest(BaseModel):
    """POST /alternatives."""

    q: Text = Field(description="One sentence")
    source: Text
    target: Text
    model: str | None = Field(None, description="Name of the model, if several serve the language pair")
    prefix: str = Field("", description="Beginning of the translation, with the space before the next word")
    alternatives: int = Field(5, ge=1, description="Number of words")
    api_key: str | None = None


class NextWord(BaseModel):
    """A word that can follow the prefix; empty for the end of the sentence. `prefix` is the prefix with the word."""

    text: str
    probability: float
    prefix: str


class AlternativesAnswer(BaseModel):
    """The words that can follow, most probable first."""

    alternatives: list[NextWord]


class Examples(BaseModel):
    """GET /examples: sentences that a model can translate."""

    model: str
    source: str
    target: str
    texts: list[str]


class Hypothesis(BaseModel):
    """A hypothesis of the beam: text, score, tokens, and whether it ended with the end token."""

    text: str
    score: float
    tokens: list[str]
    finished: bool


class AttentionAnswer(BaseModel):
    """The translation of a text. All fields but translatedText and sentences are about its first sentence.

    score: the ranking score of the translation; for a target_text, its log-probability in nats.
    looks: the attention weights, as returned by regard.attention.explorer.to_json. Null if the sentence is too long;
    `note` then says so.
    """

    translatedText: str
    sentences: list[Segment]
    score: float
    alternatives: list[Hypothesis]
    model: Model
    looks: dict[str, Any] | None
    note: str = ""
