"""The paragraphs of Word documents: body, tables, headers, footers, notes, comments and text boxes.

Runs with equal properties are one text; the language and marks of the spelling checker do not count. Tabs and line
breaks are white space of the text. Deleted text, drawings, fields and other content of runs stay as they are, except
that text inside drawings is translated, and so is the text of fields that are links.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from regard.documents.containers.items import Group, Item, Markup, Run, Single, Style, field_item, markup_of, runs_of
from regard.documents.containers.namespaces import OOXML
from regard.documents.containers.part import NodeHandler, Part, find_nested, quote_attribute, tag_name
from regard.documents.document import LanguagePair
from regard.documents.xml import Node, escape, read_elements

GROUPS = frozenset({"w:hyperlink", "w:ins", "w:moveTo", "w:smartTag", "w:customXml", "w:sdtContent", "w:dir", "w:bdo"})
"""Elements that contain runs."""
DROPPED = frozenset({"w:proofErr", "w:lastRenderedPageBreak", "w:softHyphen"})
"""Marks that depend on the source text."""
RANGES = frozenset({"w:bookmark", "w:commentRange", "w:perm"})
LINK_FIELDS = frozenset({"HYPERLINK", "TOC"})
"""Fields whose result is text to translate."""
MAX_NESTED_FIELDS = 16
WITH_TEXT = frozenset({"w:drawing", "w:pict", "w:object", "mc:AlternateContent"})
"""Markup inside which there may be text boxes and descriptions."""

_IGNORED_PROPERTIES = frozenset({"w:lang", "w:noProof", "w:webHidden"})
_VALUE = re.compile(r"""(:val\s*=\s*)("[^"]*"|'[^']*')""")
_HINT = re.compile(r'<[\w:]*rFonts\s[\w:]*hint="[^"]*"\s*/>|\s[\w:]*hint="[^"]*"')


@dataclass(frozen=True)
class _FieldCharacter(Single):
    """The start, the separator or the end of a field, or its instruction."""

    kind: str = ""
    instruction: str = ""


class WordPart(Part):
    """A part of a Word document that contains paragraphs."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair) -> None:
        """Parse the part. Raise DataError if it is not well-formed."""
        super().__init__(data, name, languages)
        self._handlers: dict[str, NodeHandler] = {
            "w:p": self._add_paragraph,
            "wp:docPr": lambda node: self.add_attributes(node, ("descr", "title")),
            "w:lang": lambda node: self.relabel(node, tag_name(node, self._text).removesuffix("lang") + "val"),
        }
        read_elements(self._text, name, self._handlers, lambda node, _: self._handlers[node.name](node), OOXML)

    def _add_paragraph(self, paragraph: Node) -> None:
        properties = paragraph.find_child("w:pPr")
        start = paragraph.inner_start if properties is None else properties.end
        children = [child for child in paragraph.children if child.start >= start]
        prefix = tag_name(paragraph, self._text).removesuffix("p")
        self.add_items(start, paragraph.inner_end, self._items(children), _RunWriter(prefix))

    def _items(self, nodes: Sequence[Node]) -> list[Item]:
        """Return the content of a paragraph or of an element in it."""
        items: list[Item] = []
        for node in nodes:
            if node.name == "w:r":
                items += self._run_items(node)
            elif node.name in GROUPS:
                opening, closing = self.copy(node.start, node.inner_start), self.copy(node.inner_end, node.end)
                items.append(Group(opening, closing, tuple(self._items(node.children))))
            elif node.name == "w:sdt" and (content := node.find_child("w:sdtContent")):
                opening, closing = self.copy(node.start, content.inner_start), self.copy(content.inner_end, node.end)
                items.append(Group(opening, closing, tuple(self._items(content.children))))
            elif node.name == "w:fldSimple":
                result = "".join(run.text for run in runs_of(self._items(node.children)))
                items.append(field_item(result, self.copy(node.start, node.end)))
            elif node.name not in DROPPED and (node.name or self._text[node.start : node.end].strip()):
                items.append(self._single(node))
        return list(_resolve_fields(items))

    def _single(self, node: Node) -> Single:
        if node.name in WITH_TEXT:
            find_nested(node, {name: self._handlers[name] for name in ("w:p", "wp:docPr")})
        kind = node.name.removesuffix("Start").removesuffix("End")
        key = f"{kind} {node.attributes.get('w:id', '')}" if kind in RANGES else ""
        return Single(self.copy(node.start, node.end), key, is_range_end=node.name.endswith("End"))

    def _run_items(self, run: Node) -> list[Item]:
        """Return the texts of a run and its other content, each as a complete run."""
        tag = tag_name(run, self._text)
        properties = run.find_child("w:rPr")
        style = self._style(properties, tag)
        opening = Markup(f"<{tag}>" + (self._text[properties.start : properties.end] if properties else ""))
        closing = Markup(f"</{tag}>")
        items: list[Item] = []
        for child in run.children:
            if child is properties or child.name in DROPPED or not child.name:
                continue
            text = _text_of(child)
            single = self._single(child)
            markup = opening + single.markup + closing
            if text is not None:
                items.append(Run(text, style, markup))
            elif child.name in ("w:fldChar", "w:instrText"):
                kind = child.attributes.get("w:fldCharType", "instruction")
                instruction = "".join(node.text for node in child.children)
                items.append(_FieldCharacter(markup, kind=kind, instruction=instruction))
            else:
                items.append(Single(markup, is_boundary=child.name == "w:br"))
        return items

    def _style(self, properties: Node | None, tag: str) -> Style:
        """Return the style of a run. Its opening declares the target language where the run declares the source."""
        key, opening = [], []
        for child in properties.children if properties else ():
            markup = self._text[child.start : child.end]
            if child.name == "w:lang" and self.relabeling.replaces(child.attributes.get("w:val", "")):
                markup = _VALUE.sub(self._relabeled_value, markup)
            elif child.name not in _IGNORED_PROPERTIES or (child.name == "w:lang" and child.attributes.get("w:val")):
                key.append(_HINT.sub("", markup))
            opening.append(markup)
        inside = "".join(opening)
        if properties and inside.strip():
            start_tag = self._text[properties.start : properties.inner_start]
            inside = start_tag + inside + self._text[properties.inner_end : properties.end]
        is_script = any(
            child.name == "w:vertAlign" and child.attributes.get("w:val", "baseline") != "baseline"
            for child in (properties.children if properties else ())
        )
        return Style("".join(key).strip(), f"<{tag}>{inside}", f"</{tag}>", is_script)

    def _relabeled_value(self, match: re.Match[str]) -> str:
        return match[1] + quote_attribute(self.relabeling.target, match[2])


def _text_of(node: Node) -> str | None:
    """Return the text of an element in a run, or None if it is not text."""
    match node.name:
        case "w:t":
            return re.sub(r"[\n\r\t]", " ", "".join(child.text for child in node.children))
        case "w:tab":
            return "\t"
        case "w:br" if node.attributes.get("w:type", "textWrapping") == "textWrapping":
            return "\n"
        case "w:cr":
            return "\n"
        case "w:noBreakHyphen":
            return "-"
    return None


class _RunWriter:
    """Writes a text as a run."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def __call__(self, text: str, style: Style) -> str:
        parts = [style.opening or f"<{self.prefix}r>"]
        for part in re.split("([\n\t])", text):
            if part == "\n":
                parts.append(f"<{self.prefix}br/>")
            elif part == "\t":
                parts.append(f"<{self.prefix}tab/>")
            elif part:
                parts.append(f'<{self.prefix}t xml:space="preserve">{escape(part)}</{self.prefix}t>')
        parts.append(style.closing or f"</{self.prefix}r>")
        return "".join(parts)


def _resolve_fields(items: Sequence[Item]) -> list[Item]:
    """Replace each field by single markup, or by a group if its result is text to translate.

    The characters of a field that extends over several paragraphs separate texts, so that they keep their order.
    """
    resolved: list[Item] = []
    open_fields: list[int] = []  # where each open field starts in `resolved`
    num_ignored = 0  # open fields that are nested too deeply
    for item in items:
        resolved.append(item)
        if not isinstance(item, _FieldCharacter):
            continue
        if item.kind == "begin" and len(open_fields) == MAX_NESTED_FIELDS:
            num_ignored += 1
        elif item.kind == "begin":
            open_fields.append(len(resolved) - 1)
        elif item.kind == "end" and num_ignored:
            num_ignored -= 1
        elif item.kind == "end" and open_fields:
            start = open_fields.pop()
            field = resolved[start:]
            del resolved[start:]
            resolved.append(_field_item(field))
    return [Single(item.markup, is_boundary=True) if isinstance(item, _FieldCharacter) else item for item in resolved]


def _field_item(items: Sequence[Item]) -> Item:
    """Return a complete field."""
    kinds = [item.kind if isinstance(item, _FieldCharacter) else "" for item in items]
    separator = kinds.index("separate") if "separate" in kinds else len(items)
    instruction = "".join(item.instruction for item in items[:separator] if isinstance(item, _FieldCharacter))
    markups = list(map(markup_of, items))
    result = "".join(run.text for run in runs_of(items[separator:]))
    if separator < len(items) and instruction.split()[:1] and instruction.split()[0].upper() in LINK_FIELDS:
        opening = Markup.join(markups[: separator + 1])
        return Group(opening, markups[-1], tuple(items[separator + 1 : -1]))
    return field_item(result, Markup.join(markups))
