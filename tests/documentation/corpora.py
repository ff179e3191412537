"""Miniature corpora and files under the names that the documentation uses."""

from __future__ import annotations

import gzip
import json
import lzma
import random
from collections.abc import Sequence
from pathlib import Path

from tests.unit.documents.pdfs import Text, write_pdf

from regard.corpus.datasets import datasets

LANGUAGES = ("en", "de", "fr")
SUBJECTS = [
    ("A dog", "Ein Hund", "Un chien"),
    ("A brown dog", "Ein brauner Hund", "Un chien brun"),
    ("A cat", "Eine Katze", "Un chat"),
    ("A man", "Ein Mann", "Un homme"),
    ("An old man", "Ein alter Mann", "Un vieil homme"),
    ("A woman", "Eine Frau", "Une femme"),
    ("A child", "Ein Kind", "Un enfant"),
    ("A girl", "Ein Mädchen", "Une fille"),
    ("The dog", "Der Hund", "Le chien"),
    ("The boy", "Der Junge", "Le garçon"),
]
VERBS = [
    ("runs", "rennt", "court"),
    ("plays", "spielt", "joue"),
    ("sits", "sitzt", "est assis"),
    ("waits", "wartet", "attend"),
    ("is running", "läuft", "est en train de courir"),
    ("sleeps", "schläft", "dort"),
]
PLACES = [
    ("", "", ""),
    ("through the snow", "durch den Schnee", "dans la neige"),
    ("in the park", "im Park", "dans le parc"),
    ("in the park with a ball", "mit einem Ball im Park", "dans le parc avec un ballon"),
    ("on the street", "auf der Straße", "dans la rue"),
    ("with a friend", "mit einem Freund", "avec un ami"),
    ("next to a house", "neben einem Haus", "à côté d'une maison"),
]
TIMES = [
    ("", "", ""),
    ("at night", "bei Nacht", "la nuit"),
    ("in summer", "im Sommer", "en été"),
    ("every day", "jeden Tag", "chaque jour"),
]
SOUNDS = {"a": "ɑ", "b": "b", "d": "d", "e": "ɛ", "g": "ɡ", "i": "ɪ", "k": "k", "l": "l", "m": "m", "n": "n", "o": "oʊ"}

Captions = list[tuple[str, ...]]  # a sentence in each of LANGUAGES


def captions(count: int, seed: int, *, names: bool = False) -> Captions:
    """Return captions that differ. With `names`, each has an invented name, so that there are many different words."""
    dice = random.Random(seed)
    assert names or count < len(SUBJECTS) * len(VERBS) * len(PLACES) * len(TIMES)
    sentences: dict[tuple[str, ...], None] = {}
    while len(sentences) < count:
        choice = [dice.choice(phrases) for phrases in (SUBJECTS, VERBS, PLACES, TIMES)]
        name = f", {_name(dice)} {_name(dice)}" if names else ""
        words = [" ".join(filter(None, parts)) for parts in zip(*choice, strict=True)]
        sentences[tuple(f"{sentence}{name}." for sentence in words)] = None
    return list(sentences)


def _name(dice: random.Random) -> str:
    return "".join(dice.choice("bdfgklmnprstvw") + dice.choice("aeiou") for _ in range(dice.randint(2, 4))).title()


def side(sentences: Captions, language: str) -> list[str]:
    return [sentence[LANGUAGES.index(language)] for sentence in sentences]


def write(path: Path, text: str) -> None:
    """Write a file, compressed if its name ends in .gz or .xz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode()
    if path.suffix == ".gz":
        data = gzip.compress(data)
    elif path.suffix == ".xz":
        data = lzma.compress(data)
    path.write_bytes(data)


def write_lines(path: Path, lines: Sequence[str]) -> None:
    write(path, "".join(f"{line}\n" for line in lines))


def published(name: str) -> str:
    """Return the miniature text of a file of Multi30k, by its name in the corpus's folder."""
    split = name.removeprefix("tok/").partition(".")[0]
    language = name.removesuffix(".gz").rpartition(".")[2]
    count, seed = {"train": (2_200, 1), "val": (30, 2), "test_2016_flickr": (20, 3)}[split]
    lines = side(captions(count, seed, names=split == "train"), language)
    if name.startswith("tok/"):
        lines = [line.lower().replace(".", " .").replace(",", " ,") for line in lines]
    return "".join(f"{line}\n" for line in lines)


def write_published(folder: Path) -> None:
    """Write miniatures of the corpora that `regard data get` downloads, as they lie in REGARD_DATA."""
    for file in datasets()["multi30k"].files:
        write(folder / "multi30k" / file.name, published(file.name))
    for split, count in {"train": 300, "dev": 20, "test": 20}.items():
        for language in ("", "fre/"):
            write_lines(folder / "g2p" / f"{language}{split}.tsv", _spellings(count, split))
        for language in ("en", "de"):
            lines = side(captions(count, count), language)
            write_lines(folder / "tatoeba-en-de" / f"{split}.{language}.gz", lines)
        write_lines(folder / "inflection22" / f"tur.{split}.tsv.gz", _published_inflections(count, split))
        write_lines(folder / "spelling-25k" / f"german-ridges.{split}.tsv.gz", _old_spellings(count, split))
        _write_sides(folder / "java-cs", split, ("java", "cs"), _methods(count, split))
        for name in ("uspto50k-smiles", "uspto50k-aligned"):
            _write_sides(folder / name, split, ("product", "reactants"), _reactions(count, split))
        for name in ("simple", "jump"):
            lines = _commands(700 if split == "train" else count, f"{name} {split}")  # a recipe holds 500 out
            write_lines(folder / "scan" / f"{name}.{split}.tsv.gz", lines)


def _write_sides(folder: Path, split: str, sides: tuple[str, str], pairs: list[tuple[str, str]]) -> None:
    for side_name, lines in zip(sides, zip(*pairs, strict=True), strict=True):
        write_lines(folder / f"{split}.{side_name}.gz", lines)


def _old_spellings(count: int, seed: str) -> list[str]:
    """Return words; two thirds of those of dev and test are those of train, too."""
    if seed != "train":
        return [
            *_old_spellings(300, "train")[: count * 2 // 3],
            *(f"{number}ſ\t{number}s" for number in range(count // 3)),
        ]
    dice = random.Random(seed)
    words = ["".join(dice.choices(["s", "ſ", "v", "th", "en", "i", "r"], k=dice.randint(2, 6))) for _ in range(count)]
    return [f"{word}\t{word.replace('ſ', 's').replace('th', 't')}" for word in words]


def _methods(count: int, seed: str) -> list[tuple[str, str]]:
    dice = random.Random(seed)
    names = [f"{dice.choice(['get', 'set', 'is'])}{_name(dice)}" for _ in range(count)]
    return [
        (f"public int {name}() {{return {name[3:].lower()};}}", f"public int {name.title()}(){{return {name[3:]};}}")
        for name in names
    ]


def _reactions(count: int, seed: str) -> list[tuple[str, str]]:
    dice = random.Random(seed)
    groups = ["C", "N", "O", "Cl", "Br", "c1ccccc1", "[nH]", "(=O)"]
    products = ["".join(dice.choices(groups, k=dice.randint(2, 8))) for _ in range(count)]
    classes = [dice.choice("112") for _ in products]
    return [(f"<RX_{label}> C{product}", f"C.{product}") for label, product in zip(classes, products, strict=True)]


def _commands(count: int, seed: str) -> list[str]:
    dice = random.Random(seed)
    verbs = [dice.choices(["walk", "run", "look", "jump"], k=dice.randint(1, 6)) for _ in range(count)]
    return ["\t".join([" and ".join(line), " ".join(f"I_{verb.upper()}" for verb in line)]) for line in verbs]


def _spellings(count: int, seed: str) -> list[str]:
    dice = random.Random(seed)
    words = ["".join(dice.choices(list(SOUNDS), k=dice.randint(2, 6))) for _ in range(count)]
    return [f"{word}\t{' '.join(SOUNDS[letter] for letter in word)}" for word in words]


def _inflections(count: int, seed: str) -> list[str]:
    dice = random.Random(seed)
    lemmas = ["".join(dice.choices(list(SOUNDS), k=dice.randint(2, 6))) for _ in range(count)]
    endings = [dice.choice([("", "N;NOM;SG"), ("ler", "N;NOM;PL"), ("in", "N;GEN;SG")]) for _ in lemmas]
    return [f"{lemma}\t{lemma}{end}\t{features}" for lemma, (end, features) in zip(lemmas, endings, strict=True)]


def _published_inflections(count: int, split: str) -> list[str]:
    """Return forms; in dev and test, fewer and fewer have a seen lemma, new features, both new, and a new lemma."""
    if split == "train":
        return _inflections(count, split)
    forms = []
    for number, line in enumerate(_inflections(300, "train")[:count]):
        lemma, form, features = line.split("\t")
        new_features = "N;GEN;PL" if number % 10 in (4, 5, 6, 7, 8) else features
        new_start = "keklamo" if number % 10 in (7, 8, 9) else ""
        forms.append(f"{new_start}{lemma}\t{new_start}{form}\t{new_features}")
    return forms


def write_files(folder: Path) -> None:
    """Write the files that readers are expected to have."""
    splits = {"train": (2_200, True), "dev": (20, False), "val": (20, False), "test": (12, False), "law": (300, False)}
    for seed, (split, (count, names)) in enumerate(splits.items()):
        sentences = captions(count, seed, names=names)
        for language in ("en", "de"):
            write_lines(folder / f"{split}.{language}", side(sentences, language))
            write_lines(folder / f"{split}.{language}.gz", side(sentences, language))
    write_lines(folder / "test.labels", ["street", "park"] * (splits["test"][0] // 2))
    new = captions(6, 9)
    write_lines(folder / "new.en", [*side(new, "en"), "A dog runs. A cat sleeps."])
    write_lines(folder / "gold.align", ["0-0 1-1 2p2"] * splits["test"][0])
    write(folder / "law.toml", LAW)
    _write_tables(folder, captions(300, 10))
    _write_tmx(folder, captions(300, 11))
    _write_catalogues(folder)
    _write_documents(folder)
    write(folder / "letter.txt", "A dog runs. A cat\nsleeps in the park.\n\nA man sits on the street.\n")
    write(folder / "recipe.toml", RECIPE)
    write_lines(folder / "keys.txt", ["a-key-of-the-tests-0123456789"])
    write_lines(folder / "constraints.jsonl", ['{"forbid": ["Rad"]}'] * 7)


def _write_documents(folder: Path) -> None:
    """Write strings of software, and PDFs."""
    messages = {
        "@@locale": "en",
        "title": "A dog runs in the park.",
        "@title": {"description": "Shown on the first page"},
        "photos": "{count, plural, =0{A man sits.} one{# dog runs.} other{# dogs run.}}",
        "greeting": "A man waits next to {name}.",
    }
    write(folder / "app_en.arb", json.dumps(messages, indent=2))
    write(folder / "site.json", json.dumps({"page": {"title": "A dog runs.", "id": "a"}, "legal": {"text": "A cat."}}))
    write(folder / "en.json", json.dumps({"A dog runs.": "", "A cat sleeps.": "Eine Katze schläft."}))
    letter: list[Text] = [(60, 700, 20, "F1", "A dog"), (60, 660, 11, "F1", "A dog runs in the park. A cat sleeps.")]
    for name in ("manual.pdf", "letter.pdf"):
        (folder / name).write_bytes(write_pdf([letter]))


LAW = """
[data]
source = "law.en"
target = "law.de"

[train]
max_steps = 100
"""


RECIPE = """
[data]
source = "train.en"
target = "train.de"

[model]
architecture = "transformer2017"
preset = "small"
"""


def _write_tables(folder: Path, sentences: Captions) -> None:
    rows = list(zip(side(sentences, "en"), side(sentences, "de"), strict=True))
    write_lines(folder / "memory.tsv", ["source\ttarget", *map("\t".join, rows)])
    write_lines(folder / "pairs.tsv", ["English\tGerman", *map("\t".join, rows)])
    domains = [
        f"{source}\t{target}\t{('street', 'park')[number % 2]}" for number, (source, target) in enumerate(rows[:20])
    ]
    write_lines(folder / "domains.tsv", ["source\ttarget\tdomain", *domains])
    untranslated = [f"{number}\t{row[0]}\t" for number, row in enumerate(rows[:4])]
    write_lines(folder / "all.tsv", ["id\tEnglish\tGerman", *untranslated])
    inflections = _inflections(300, "table")
    write_lines(folder / "inflections.tsv", ["lemma\tform\tfeatures", *inflections])
    write_lines(folder / "lemmas.tsv", ["ev\t\tN;GEN;SG", "el\t\tN;NOM;PL"])
    objects = [json.dumps({"translation": dict(zip(("en", "de"), row, strict=True))}) for row in rows]
    write_lines(folder / "folder" / "train.jsonl", objects)


def _write_tmx(folder: Path, sentences: Captions) -> None:
    def unit(english: str, german: str = "") -> str:
        texts = f'<tuv xml:lang="en"><seg>{english}</seg></tuv>'
        return f"<tu>{texts}<tuv xml:lang='de'><seg>{german}</seg></tuv></tu>" if german else f"<tu>{texts}</tu>"

    def memory(units: Sequence[str]) -> str:
        return TMX.format("\n".join(units))

    rows = list(zip(side(sentences, "en"), side(sentences, "de"), strict=True))
    write(folder / "memory.en-de.tmx", memory([unit(*row) for row in rows]))
    write(folder / "memory.en-de.tmx.xz", memory([unit(*row) for row in rows[:10]]))
    _write_letter(folder / "letter.docx", rows)
    write(folder / "memory.tmx", memory([*(unit(*row) for row in rows[:4]), *(unit(row[0]) for row in rows[4:6])]))


def _write_letter(path: Path, rows: Sequence[tuple[str, ...]]) -> None:
    import docx

    letter = docx.Document()
    letter.add_heading(rows[0][0], 1)
    for row in rows[1:5]:
        start, _, end = row[0].rpartition(" ")
        letter.add_paragraph(f"{start} ").add_run(end).bold = True
    path.parent.mkdir(parents=True, exist_ok=True)
    letter.save(str(path))


TMX = """<?xml version="1.0" encoding="UTF-8"?>
<tmx version="1.4">
<header srclang="en" adminlang="en" datatype="plaintext" segtype="sentence" o-tmf="test"/>
<body>
{}
</body>
</tmx>
"""


def _write_catalogues(folder: Path) -> None:
    def entry(source: str, target: str) -> str:
        return f'msgid "{source}"\nmsgstr "{target}"\n'

    untranslated = [entry(english, "") for english, *_ in captions(4, 12)]
    translated = [entry(english, german) for english, german, _ in captions(20, 13)]
    write(folder / "messages.po", "\n".join([PO_HEADER, *untranslated]))
    write(folder / "messages.de.po", "\n".join([PO_HEADER, *translated]))


PO_HEADER = r"""msgid ""
msgstr ""
"Language: de\n"
"Content-Type: text/plain; charset=UTF-8\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\n"
"""
