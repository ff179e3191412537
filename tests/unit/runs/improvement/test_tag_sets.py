"""Which tags corrections get."""

from __future__ import annotations

from pathlib import Path

import pytest

from regard.config.data import CorpusConfig, DataConfig
from regard.corpus.formats.sides import Sides
from regard.errors import ConfigError
from regard.runs.improvement.tag_sets import TagSet, choose_tag_sets, tag_sets


def corpora(*tags: tuple[str, ...], target: str = "") -> DataConfig:
    configs = (CorpusConfig(source="a", target="b", tags=known, target_language=target) for known in tags)
    return DataConfig(corpora=tuple(configs), source_language="en")


LANGUAGES = tag_sets(corpora(("de",), ("fr",), ("de",)))
DOMAINS = tag_sets(corpora(("laws",), (), ("laws", "old"), target="de"))


def test_a_run_has_the_tag_sets_of_its_corpora() -> None:
    languages = [TagSet(("de",), "en", "de"), TagSet(("fr",), "en", "fr")]
    domains = [TagSet(("laws",), "en", "de"), TagSet((), "en", "de"), TagSet(("laws", "old"), "en", "de")]
    assert (list(LANGUAGES), list(DOMAINS)) == (languages, domains)
    assert tag_sets(DataConfig(corpus="dates")) == (TagSet(),)


@pytest.mark.parametrize(
    ("name", "sides", "tags", "chosen"),
    [
        ("a.tsv", Sides(target_language="fr"), (), [1]),
        ("a.tsv", Sides(target_language="fr-CA"), (), [1]),
        ("a.en-de.tsv", Sides(), (), [0]),
        ("a.en-de.tsv", Sides(), ("fr",), [1]),
        ("a.tmx", Sides(), (), [0, 1]),
        ("a.sqlite", Sides(target_language="de"), (), [0]),
        ("french.po", Sides(), (), [1]),
    ],
)
def test_the_tags_of_the_languages(
    name: str, sides: Sides, tags: tuple[str, ...], chosen: list[int], tmp_path: Path
) -> None:
    (tmp_path / "french.po").write_text('msgid ""\nmsgstr "Language: fr\\n"\n\nmsgid "One"\nmsgstr "Un"\n')
    sets = choose_tag_sets(LANGUAGES, tmp_path / name, sides, tags)
    assert [known.tags for known in sets] == [LANGUAGES[index].tags for index in chosen]


def test_the_tags_of_a_domain_are_requested() -> None:
    for tags in (("laws",), ("laws", "old"), ()):
        assert [known.tags for known in choose_tag_sets(DOMAINS, Path("a.tsv"), Sides(), tags)] == [tags]
    mixed = (TagSet((), "en", "de"), *LANGUAGES[1:])
    assert choose_tag_sets(mixed, Path("a.tmx"), Sides(), ()) == list(mixed)
    tagged = [known for known in DOMAINS if known.tags]
    for name in ("a.tsv", "a.sqlite"):
        with pytest.raises(ConfigError, match="not clear which tags") as ambiguous:
            choose_tag_sets(tagged, Path(name), Sides(), ())
        assert ambiguous.value.fix == "choose --tag laws or --tag laws --tag old"
    with pytest.raises(ConfigError, match="not trained with --tag old --tag laws"):
        choose_tag_sets(DOMAINS, Path("a.tsv"), Sides(), ("old", "laws"))
    with pytest.raises(ConfigError, match="not trained with --tag de") as untagged:
        choose_tag_sets((TagSet(),), Path("a.tsv"), Sides(), ("de",))
    assert untagged.value.fix == "leave it out"
