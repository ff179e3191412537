// Tokenizers of regard: characters, words, bytes, and SentencePiece's unigram and BPE models, with the same ids as in Python.
const SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"];
const EOS = 2, UNK = 3;
const PYTHON_SPACE = /[\t-\r\x1c-\x1f \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/u; // where str.split splits
const BREAKS = /[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]/gu;
const SPACE = "▁";

const utf8 = (text) => [...new TextEncoder().encode(text)];
const withoutSurrogates = (text) => text.replace(/\p{Surrogate}/gu, "?"); // lone ones, as in Python
const words = (text) => text.split(PYTHON_SPACE).filter(Boolean);
const foldSpaces = (text) => words(text).join(" ");

class VocabularyTokenizer {
  // written: all tokens in the order of their ids, the four special ones first.
  constructor(written) {
    this.written = written;
    this.ids = new Map(written.slice(SPECIAL.length).map((token, place) => [token, place + SPECIAL.length]));
  }
  encode(text) {
    return this.split(text).map((token) => this.ids.get(token) ?? UNK);
  }
  tokens(ids) {
    return ids.filter((id) => id > EOS).map((id) => this.written[id]);
  }
}

export class CharacterTokenizer extends VocabularyTokenizer {
  split(text) { return [...text]; }
  decode(ids) { return this.tokens(ids).join("").replace(BREAKS, " "); }
  pieces(ids) { return ids.map((id) => this.written[id].replaceAll(" ", SPACE)); }
}

export class WordTokenizer extends VocabularyTokenizer {
  split(text) { return words(text); }
  decode(ids) { return foldSpaces(this.tokens(ids).join(" ")); }
  pieces(ids) { return ids.map((id) => this.written[id]); }
}

export class ByteTokenizer {
  encode(text) { return utf8(withoutSurrogates(text)).map((byte) => SPECIAL.length + byte); }
  decode(ids) {
    const bytes = ids.filter((id) => id >= SPECIAL.length).map((id) => id - SPECIAL.length);
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(new Uint8Array(bytes)).replace(BREAKS, " ");
  }
  pieces(ids) { return ids.map((id) => SPECIAL[id] ?? bytePiece(id - SPECIAL.length)); }
}

function bytePiece(byte) {
  if (byte === 0x20) return SPACE;
  return byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
}

// What unigram and BPE share; they differ in how `segment` splits a text without the character ▁.
class SubwordTokenizer {
  // description: the tokenizer's entry in a manifest.
  constructor({ pieces, scores, byte_ids: byteIds, matching }) {
    this.written = pieces;
    this.scores = scores;
    this.byteIds = byteIds;
    this.byteOf = new Map(byteIds.map((id, byte) => [id, byte]));
    this.matching = new Map(matching.map((id) => [pieces[id], id]));
  }
  bytesOf(text) { return utf8(text).map((byte) => this.byteIds[byte]); }
  encode(text) {
    const folded = withoutSurrogates(foldSpaces(text));
    if (!folded) return [];
    const spaceBytes = this.bytesOf(SPACE);
    const [first, ...rest] = ` ${folded}`.split(SPACE);
    const ids = this.segment(first);
    for (const part of rest) ids.push(...spaceBytes, ...this.segment(part));
    return ids;
  }
  decode(ids) {
    let text = "", pending = [];
    const flush = () => {
      if (pending.length) text += decodeBytes(pending);
      pending = [];
    };
    for (const id of ids.filter((id) => id > EOS)) {
      if (this.byteOf.has(id)) {
        pending.push(this.byteOf.get(id));
        continue;
      }
      flush();
      text += this.written[id].replaceAll(SPACE, " ");
    }
    flush();
    return foldSpaces(text);
  }
  pieces(ids) { return ids.map((id) => this.written[id]); }
}

export class UnigramTokenizer extends SubwordTokenizer {
  constructor(description) {
    super(description);
    const { pieces, scores, matching } = description;
    this.longest = Math.max(...matching.map((id) => [...pieces[id]].length));
    const lowest = matching.reduce((low, id) => Math.min(low, scores[id]), Infinity);
    this.unknown = Math.fround(lowest - 10); // SentencePiece's score of a character that is no piece
  }
  // The best segmentation by Viterbi's algorithm, in float32 as SentencePiece computes it; of equal ones the first.
  segment(text) {
    const letters = [...text.replaceAll(" ", SPACE)];
    const best = Array.from({ length: letters.length + 1 }, () => ({ score: 0, start: -1, id: -1 }));
    for (let start = 0; start < letters.length; start += 1) {
      const before = best[start].score;
      let piece = "", hasSingle = false;
      const propose = (end, id, score) => {
        const total = Math.fround(score + before);
        if (best[end].start === -1 || total > best[end].score) best[end] = { score: total, start, id };
      };
      for (let end = start + 1; end <= Math.min(letters.length, start + this.longest); end += 1) {
        piece += letters[end - 1];
        const id = this.matching.get(piece);
        if (id === undefined) continue;
        propose(end, id, this.scores[id]);
        hasSingle ||= end === start + 1;
      }
      if (!hasSingle) propose(start + 1, UNK, this.unknown);
    }
    const ids = [];
    for (let end = letters.length; end > 0; end = best[end].start) {
      const { start, id } = best[end];
      if (id !== UNK) ids.unshift(id);
      else ids.unshift(...this.bytesOf(letters.slice(start, end).join("")));
    }
    return ids;
  }
}

export class BpeTokenizer extends SubwordTokenizer {
  // Merge the two neighbours whose piece has the highest score, of equal ones the leftmost, until none are a piece.
  segment(text) {
    const symbols = [...text.replaceAll(" ", SPACE)];
    const mergeScore = (at) => {
      const id = at >= 0 && at + 1 < symbols.length ? this.matching.get(symbols[at] + symbols[at + 1]) : undefined;
      return id === undefined ? -Infinity : this.scores[id];
    };
    const scores = symbols.map((_, at) => mergeScore(at)); // of each symbol with the next one
    for (;;) {
      let best = 0;
      for (let at = 1; at < scores.length; at += 1) if (scores[at] > scores[best]) best = at;
      if (!(scores[best] > -Infinity)) break;
      symbols.splice(best, 2, symbols[best] + symbols[best + 1]);
      scores.splice(best + 1, 1);
      for (const at of [best - 1, best]) if (at >= 0) scores[at] = mergeScore(at);
    }
    return symbols.flatMap((symbol) => this.matching.get(symbol) ?? this.bytesOf(symbol));
  }
}

const hidden = (sign) => String.fromCodePoint(sign.codePointAt(0) + 0xe0000);

// Adds the ids of tags, such as the target language, after those of another tokenizer. A tag before a text is written
// <de> in a page; in regard's own texts it is written in Unicode tag characters.
export class TaggedTokenizer {
  constructor(inner, tags, size) {
    Object.assign(this, { inner, tags, first: size - tags.length });
  }
  encode(text) {
    const ids = [];
    let rest = text;
    for (let tag = this.tagBefore(rest); tag; tag = this.tagBefore(rest)) {
      ids.push(this.first + tag.place);
      rest = rest.slice(tag.written.length);
    }
    return [...ids, ...this.inner.encode(rest)];
  }
  tagBefore(text) {
    const forms = this.tags.flatMap((tag, place) => [`<${tag}>`, `\u{e0001}${[...tag].map(hidden).join("")}\u{e007f}`].map((written) => ({ place, written })));
    return forms.find(({ written }) => text.startsWith(written));
  }
  decode(ids) { return this.inner.decode(ids.filter((id) => id < this.first)); }
  pieces(ids) { return ids.map((id) => (id < this.first ? this.inner.pieces([id])[0] : `<${this.tags[id - this.first]}>`)); }
}

// UTF-8 in which every byte that is not part of a character becomes U+FFFD, as SentencePiece decodes.
function decodeBytes(bytes) {
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let text = "";
  for (let place = 0; place < bytes.length; ) {
    const length = [1, 2, 3, 4].find((count) => {
      if (place + count > bytes.length) return false;
      try { return [...strict.decode(new Uint8Array(bytes.slice(place, place + count)))].length === 1; } catch { return false; }
    });
    text += length ? strict.decode(new Uint8Array(bytes.slice(place, place + length))) : "�";
    place += length ?? 1;
  }
  return text;
}

const KINDS = { character: CharacterTokenizer, word: WordTokenizer, byte: ByteTokenizer, unigram: UnigramTokenizer, bpe: BpeTokenizer };
const WITH_VOCABULARY = ["character", "word"];

// The tokenizer of a side, from its entry in a manifest; vocabularies are read from their own file by `readVocabulary`.
export async function makeTokenizer(description, readVocabulary) {
  const { kind, tags, size } = description;
  if (!(kind in KINDS)) throw new Error(`tokenizers of the kind ${kind} do not run in a page`);
  const tokenizer = new KINDS[kind](WITH_VOCABULARY.includes(kind) ? await readVocabulary() : description);
  return tags.length ? new TaggedTokenizer(tokenizer, tags, size) : tokenizer;
}
