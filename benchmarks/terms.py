"""Measure glossaries: how many terms appear in translations, what that costs in chrF, and how much CPU time it takes.

The terms are aligned words of the test set's references, each given in the form that is most frequent in the training
data, as a dictionary gives it. A term counts if the translation has it as given or in another form of its words.

    python benchmarks/terms.py RUN --source test.en --reference test.de --lines 500
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from common import count, exit_on_error, print_machine, read_pair
from sacrebleu.metrics.chrf import CHRF

from regard.data.store import PairStore
from regard.inference.terms import METHODS, GlossaryMethod
from regard.inference.translator import Constraints, Translator
from regard.terms.alignment import align
from regard.terms.glossary import Term, target_forms
from regard.terms.spans import TermSpan, find_spans

TRAINING_PAIRS = 20_000  # that the test set is aligned with
MAX_TERMS = 3  # of a sentence


@dataclass(frozen=True)
class Sentence:
    """A source, its reference, and the terms of both."""

    source: str
    reference: str
    terms: tuple[Term, ...]


def find_sentences(translator: Translator, data: Path, pairs: Sequence[tuple[str, str]]) -> list[Sentence]:
    """Return the pairs with their terms, by an alignment of the test set together with training pairs."""
    tokenizers = translator.tokenizers
    encoded = [(tokenizers.source.encode(source), tokenizers.target.encode(target)) for source, target in pairs]
    train = PairStore.open(data, "train")
    step = max(1, len(train) // TRAINING_PAIRS)
    more = [(train.source(index).tolist(), train.target(index).tolist()) for index in range(0, len(train), step)]
    with tempfile.TemporaryDirectory() as folder:
        store = PairStore.write(Path(folder), "test", [*encoded, *more])
        spans = find_spans(align(store, tokenizers))
    draws = random.Random(1)
    forms = translator.terms.forms.target
    sentences = []
    for index, (source, target) in enumerate(pairs):
        candidates = spans.of(index)
        draws.shuffle(candidates)
        chosen: list[TermSpan] = []
        for span in candidates:
            if len(chosen) < MAX_TERMS and not any(span.overlaps(earlier) for earlier in chosen):
                chosen.append(span)
        terms = []
        for span in sorted(chosen):
            written = tokenizers.source.decode(encoded[index][0][span.start : span.end])
            translated = tokenizers.target.decode(encoded[index][1][span.target_start : span.target_end])
            base = " ".join(map(forms.base, translated.split()))
            terms.append(Term(written, base, target_forms(base, forms)))
        sentences.append(Sentence(source, target, tuple(terms)))
    return sentences


def substitute(sentence: Sentence) -> str:
    """Return the source with the target terms in place of its terms."""
    text, at = sentence.source, 0
    for term in sentence.terms:
        start = text.find(term.source, at)
        if start >= 0:
            text = text[:start] + term.target + text[start + len(term.source) :]
            at = start + len(term.target)
    return text


def measure(
    name: str,
    translator: Translator,
    sentences: Sequence[Sentence],
    method: GlossaryMethod | None,
    without: Sequence[str] = (),
) -> list[str]:
    """Translate, print a row of the table, and return the translations.

    `without` has the translations without a glossary; empty: these are.
    """
    sources = [substitute(sentence) if name == "substitution" else sentence.source for sentence in sentences]
    constraints = [Constraints(terms=sentence.terms if method else ()) for sentence in sentences]
    start = time.process_time()
    results = translator.translate(
        sources, constraints=constraints, glossary="none", glossary_method=method or "auto", split_sentences=False
    )
    seconds = time.process_time() - start
    texts = [result.text for result in results]
    total = present = exact = missed = recovered = 0
    for sentence, text, plain in zip(sentences, texts, without or texts, strict=True):
        for term in sentence.terms:
            total += 1
            present += term.is_in(text)
            exact += Term(term.source, term.target, (term.target,)).is_in(text)
            if not term.is_in(plain):
                missed += 1
                recovered += term.is_in(text)
    references = [[sentence.reference for sentence in sentences]]
    chrf = CHRF().corpus_score(texts, references).score
    print(
        f"| {name} | {present / max(total, 1):.1%} | {exact / max(total, 1):.1%} | {recovered / max(missed, 1):.1%} "
        f"| {chrf:.2f} | {len(texts) / seconds:.1f} |",
        flush=True,
    )
    return texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--lines", type=count, default=500)
    parser.add_argument("--threads", type=count, default=1)
    parser.add_argument("--methods", nargs="*", choices=METHODS, help="by default, those that suit the run")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    pairs = list(zip(*read_pair(arguments.source, arguments.reference), strict=True))[: arguments.lines]
    translator = Translator.load(arguments.run, "cpu")
    print_machine()
    sentences = find_sentences(translator, arguments.run / "data", pairs)
    with_terms = [sentence for sentence in sentences if sentence.terms]
    terms = sum(len(sentence.terms) for sentence in with_terms)
    print(f"{arguments.source}: {terms} terms in {len(with_terms)} of {len(sentences)} sentences")
    print("| method | terms | as given | of those missed | chrF | sentences/CPU s |\n|---|---:|---:|---:|---:|---:|")
    suitable: list[GlossaryMethod] = ["tags", "both", "search"] if translator.terms.has_tags else ["search"]
    methods: list[GlossaryMethod] = arguments.methods or suitable
    without = measure("no glossary", translator, with_terms, None)
    measure("substitution", translator, with_terms, None, without)
    for method in methods:
        measure(method, translator, with_terms, method, without)


if __name__ == "__main__":
    with exit_on_error():
        main()
