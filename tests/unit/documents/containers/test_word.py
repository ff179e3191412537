"""Word documents: which text is translated, and that formatting and everything else stays."""

from __future__ import annotations

import io
import re

import docx
import pytest
from tests.unit.documents.containers.archives import (
    PNG,
    WORD,
    body,
    changed_members,
    fill,
    pack,
    saved,
    texts,
    unpack,
    word,
)

from regard.documents.containers.items import Markup, Run, Single, Style
from regard.documents.containers.styled_text import StyledText, split_pieces

RUN = '<w:r><w:t xml:space="preserve">{}</w:t></w:r>'


def bold(text: str) -> str:
    return f'<w:r><w:rPr><w:b/></w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def plain(text: str) -> str:
    return RUN.format(text)


def translated(paragraph: str) -> str:
    """Return the content of a translated paragraph."""
    return body(fill(".docx", word(f"<w:p>{paragraph}</w:p>")).data).removeprefix("<w:p>").removesuffix("</w:p>")


def test_a_document_of_python_docx() -> None:
    document = docx.Document()
    document.add_heading("Two dogs", 0)
    paragraph = document.add_paragraph("A man in a ")
    paragraph.add_run("red shirt").bold = True
    paragraph.add_run(" is here.")
    document.add_paragraph("one item", style="List Bullet")
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "a cell", "12"
    document.add_paragraph("picture ").add_run().add_picture(io.BytesIO(PNG))
    document.sections[0].header.paragraphs[0].text = "a header"
    document.sections[0].footer.paragraphs[0].text = "a footer"
    document.add_comment(paragraph.runs[1:2], text="a comment", author="x")
    document.core_properties.title = "the title"
    data = saved(document)
    result = fill(".docx", data)
    assert (result.entries, result.filled, result.reports) == (9, 9, [])
    new = docx.Document(io.BytesIO(result.data))
    assert [p.text for p in new.paragraphs] == ["TWO DOGS", "A MAN IN A RED SHIRT IS here.", "ONE ITEM", "PICTURE "]
    assert [(run.text, run.bold) for run in new.paragraphs[1].runs if run.text] == [
        ("A MAN IN A ", None),
        ("RED SHIRT", True),
        (" IS here.", None),
    ]
    assert [p.style and p.style.name for p in new.paragraphs] == [p.style and p.style.name for p in document.paragraphs]
    assert [cell.text for cell in new.tables[0].rows[0].cells] == ["A CELL", "12"]
    assert new.sections[0].header.paragraphs[0].text == "A HEADER"
    assert new.sections[0].footer.paragraphs[0].text == "A FOOTER"
    assert [comment.text for comment in new.comments] == ["A COMMENT"]
    assert new.core_properties.title == "THE TITLE"
    assert len(new.inline_shapes) == 1
    assert changed_members(data, result.data) == {
        "docProps/core.xml",
        *(f"word/{name}.xml" for name in ("document", "header1", "footer1", "comments", "styles")),
    }


def test_runs_with_equal_formatting_are_one_text() -> None:
    runs = (
        '<w:r w:rsidR="00A1"><w:t xml:space="preserve">Op</w:t></w:r><w:proofErr w:type="spellStart"/>'
        '<w:r><w:rPr><w:noProof/><w:lang w:val="en-US"/></w:rPr><w:t>en</w:t></w:r><w:r><w:lastRenderedPageBreak/>'
        '<w:t xml:space="preserve"> the</w:t></w:r><w:r><w:rPr><w:rFonts w:hint="eastAsia"/></w:rPr>'
        "<w:t> door</w:t></w:r>"
    )
    assert texts(".docx", word(f"<w:p>{runs}</w:p>")) == ["Open the door"]
    assert translated(runs) == plain("OPEN THE DOOR")


def test_the_language_of_runs_and_styles_is_the_target_language() -> None:
    run = '<w:r><w:rPr><w:b/><w:lang w:val="{}"/></w:rPr><w:t xml:space="preserve">{}</w:t></w:r>'
    assert translated(run.format("en-GB", "one")) == run.format("de-DE", "ONE")
    assert translated(run.format("fr-FR", "one")) == run.format("fr-FR", "ONE")
    styles = "<w:docDefaults><w:rPrDefault><w:rPr><w:lang w:val='{}'/></w:rPr></w:rPrDefault></w:docDefaults>"
    before = word(f"<w:p>{plain('one')}</w:p>", styles=styles.format("en-US"))
    assert styles.format("de-DE").encode() in unpack(fill(".docx", before).data)["word/styles.xml"]
    nothing = word(f"<w:p>{plain('1')}</w:p>", styles=styles.format("en-US"))
    assert fill(".docx", nothing).data == nothing


@pytest.mark.parametrize(
    "single",
    [
        "<w:r><w:drawing><wp:inline/></w:drawing></w:r>",
        '<w:r><w:footnoteReference w:id="2"/></w:r>',
        '<w:r><w:sym w:font="Wingdings" w:char="F04A"/></w:r>',
        "<w:bookmarkStart w:id='1' w:name='x'/><w:bookmarkEnd w:id='1'/>",
        '<w:del w:id="4" w:author="x"><w:r><w:delText>gone</w:delText></w:r></w:del>',
        '<w:fldSimple w:instr=" PAGE "><w:r><w:t>page 1</w:t></w:r></w:fldSimple>',
        '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText> REF a </w:instrText></w:r>'
        '<w:r><w:fldChar w:fldCharType="separate"/></w:r><w:r><w:t>result</w:t></w:r>'
        '<w:r><w:fldChar w:fldCharType="end"/></w:r>',
    ],
    ids=["drawing", "footnote", "symbol", "bookmark", "deleted", "simple field", "field"],
)
def test_what_is_not_text_stays_at_its_word(single: str) -> None:
    assert texts(".docx", word(f"<w:p>{plain('one two')}{single}{plain(' three')}</w:p>")) == ["one two three"]
    new = translated(plain("one two") + single + plain(" three"))
    assert new in (plain("ONE TWO") + single + plain(" THREE"), plain("ONE TWO ") + single + plain("THREE"))


def field(instruction: str, result: str) -> str:
    return (
        f'<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText> {instruction} </w:instrText></w:r>'
        f'<w:r><w:fldChar w:fldCharType="separate"/></w:r><w:r><w:t>{result}</w:t></w:r>'
        '<w:r><w:fldChar w:fldCharType="end"/></w:r>'
    )


def test_a_field_that_is_a_number_is_a_number_of_the_text() -> None:
    page, pages, date = field("PAGE", "7"), field("NUMPAGES", "10"), field("DATE", "May 3")
    simple = '<w:fldSimple w:instr=" SEQ Figure "><w:r><w:t>1</w:t></w:r></w:fldSimple>'
    footer = plain("Page ") + page + plain(" of ") + pages
    assert texts(".docx", word(f"<w:p>{footer}</w:p><w:p>{plain('Figure ')}{simple}{plain(': a dog')}</w:p>")) == [
        "Page 7 of 10",
        "Figure 1: a dog",
    ]
    assert translated(footer) == plain("PAGE ") + page + plain(" OF ") + pages
    reordered = fill(".docx", word(f"<w:p>{footer}</w:p>"), lambda _: "von 10 Seite 7").data
    assert body(reordered) == f"<w:p>{plain('von ')}{pages}{plain(' Seite ')}{page}</w:p>"
    assert translated(page + plain(" / ") + pages) == page + plain(" / ") + pages
    assert texts(".docx", word(f"<w:p>{plain('No')}{page}{plain(' is here')}</w:p>")) == ["No is here"]
    caption = bold("Figure ") + f"{simple}" + bold(":") + plain(" a dog or a cat")
    assert translated(caption) == bold("FIGURE ") + simple + bold(":") + plain(" A DOG OR A CAT")
    # Other fields stay between the words, and the spaces on both sides of them stay, too.
    assert translated(plain("on ") + date + plain(" by me")) == plain("ON ") + date + plain(" BY ME")


def test_links_insertions_and_comments_surround_their_words() -> None:
    for opening, closing in (
        ('<w:hyperlink r:id="r5">', "</w:hyperlink>"),
        ('<w:ins w:id="1" w:author="x">', "</w:ins>"),
        ("<w:sdt><w:sdtPr/><w:sdtContent>", "</w:sdtContent></w:sdt>"),
        ('<w:commentRangeStart w:id="1"/>', '<w:commentRangeEnd w:id="1"/>'),
        (
            '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText> HYPERLINK "u" </w:instrText></w:r>'
            '<w:r><w:fldChar w:fldCharType="separate"/></w:r>',
            '<w:r><w:fldChar w:fldCharType="end"/></w:r>',
        ),
    ):
        paragraph = plain("one ") + opening + bold("two") + closing + plain(" three")
        expected = plain("ONE ") + opening + bold("TWO") + closing + plain(" THREE")
        assert translated(paragraph) == expected
        assert translated(opening + bold("one") + closing) == opening + bold("ONE") + closing


def test_crossing_ranges_and_unfinished_fields_stay_well_formed() -> None:
    start, end = '<w:{}Start w:id="1"/>', '<w:{}End w:id="1"/>'
    paragraph = (
        start.format("bookmark") + plain("one ") + '<w:hyperlink r:id="r5">' + start.format("commentRange")
        + bold("two ") + end.format("bookmark") + plain("three") + "</w:hyperlink>" + bold(" four")
        + end.format("commentRange") + '<w:r><w:fldChar w:fldCharType="end"/></w:r>' + plain(" five")
    )  # fmt: skip
    result = fill(".docx", word(f"<w:p>{paragraph}</w:p>"))
    assert texts(".docx", result.data) == ["ONE TWO THREE FOUR", " FIVE"]
    for markup in re.findall(r"<w:(?:bookmark|comment|hyper|fldChar)[^>]*>", paragraph):
        assert body(result.data).count(markup) == 1


def test_tabs_and_line_breaks_separate_texts() -> None:
    paragraph = "<w:r><w:t>Name</w:t><w:tab/><w:t>a dog</w:t></w:r><w:r><w:br/><w:t>Two men.</w:t></w:r>"
    assert translated(paragraph) == (
        '<w:r><w:t xml:space="preserve">NAME</w:t><w:tab/><w:t xml:space="preserve">A DOG</w:t><w:br/>'
        '<w:t xml:space="preserve">TWO men.</w:t></w:r>'
    )
    page = '<w:r><w:br w:type="page"/></w:r>'
    assert translated(plain("one") + page + plain("two")) == plain("ONE") + page + plain("TWO")


def test_text_boxes_inside_paragraphs() -> None:
    box = (
        '<w:r><mc:AlternateContent><mc:Choice><w:drawing><wp:docPr id="1" name="n" descr="{}"/><w:txbxContent><w:p>{}'
        "</w:p></w:txbxContent></w:drawing></mc:Choice><mc:Fallback><w:pict><w:txbxContent><w:p>{}</w:p>"
        "</w:txbxContent></w:pict></mc:Fallback></mc:AlternateContent></w:r>"
    )
    before = box.format("a box", plain("in a box"), plain("in a box"))
    after = box.format("A BOX", plain("IN A BOX"), plain("IN A BOX"))
    assert translated(before) == after
    assert translated(plain("one") + before + plain(" two")) == plain("ONE") + after + plain(" TWO")


def test_an_entry_that_fails_stays_and_its_text_box_is_translated() -> None:
    box = "<w:r><w:drawing><w:txbxContent><w:p>{}</w:p></w:txbxContent></w:drawing></w:r>"
    data = word(f"<w:p>{plain('first ')}{box.format(plain('inner'))}{plain('second')}</w:p>")
    result = fill(".docx", data, lambda text: "" if "first" in text else text.upper())
    assert body(result.data) == f"<w:p>{plain('first ')}{box.format(plain('INNER'))}{plain('second')}</w:p>"
    (report,) = result.reports
    assert (report.part, report.line, report.source) == ("word/document.xml", 2, "first second")


def test_any_prefix_and_strict_documents() -> None:
    data = unpack(word(f"<w:p>{plain('one')}</w:p>"))
    text = data["word/document.xml"].decode()
    strict = text.replace(WORD, "http://purl.oclc.org/ooxml/wordprocessingml/main")
    default = re.sub(r"(</?)w:", r"\1", text).replace("xmlns:w=", "xmlns=")
    for version in (strict, default, text.replace("w:", "x:").replace("xmlns:w=", "xmlns:x=")):
        result = fill(".docx", pack({**data, "word/document.xml": version}))
        assert unpack(result.data)["word/document.xml"].decode() == version.replace(">one<", ">ONE<")


def script(text: str, position: str = "superscript") -> str:
    return f'<w:r><w:rPr><w:vertAlign w:val="{position}"/></w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def test_formulas_units_notes_and_ordinals() -> None:
    formula = plain("H") + script("2", "subscript") + plain("O")
    assert translated(plain("the h is ") + formula + plain(", here")) == plain("THE H IS ") + formula + plain(", HERE")
    sugar = plain("C") + script("6", "subscript") + plain("H") + script("12", "subscript")
    assert translated(sugar + plain(" is sweet")) == sugar + plain(" IS SWEET")
    unit = plain("km") + script("2")
    assert translated(plain("ten ") + unit) == plain("TEN ") + unit
    assert translated(plain("a street") + script("1") + plain(" now")) == plain("A STREET") + script("1") + plain(
        " NOW"
    )
    assert translated(plain("the 21") + script("st") + plain(" day")) == plain("THE 21st DAY")
    assert translated(script("one") + plain(" two three four")) == script("ONE") + plain(" TWO THREE FOUR")


@pytest.mark.parametrize(
    "paragraph",
    [
        '<w:hyperlink r:id="r1">' * 240 + plain("one") + plain("two") + "</w:hyperlink>" * 240,
        ('<w:hyperlink r:id="r1">' + plain("one ")) * 100 + "</w:hyperlink>" * 100,
        "".join(f'<w:bookmarkStart w:id="{i}"/>{plain("a ")}' for i in range(150))
        + "".join(f'{plain("a ")}<w:bookmarkEnd w:id="{i}"/>' for i in reversed(range(150))),
        ('<w:r><w:fldChar w:fldCharType="begin"/></w:r>' + plain("one ")) * 200
        + '<w:r><w:fldChar w:fldCharType="end"/></w:r>' * 150
        + plain("two"),
    ],
    ids=["links", "links with text", "bookmarks", "fields"],
)
def test_deeply_nested_markup(paragraph: str) -> None:
    result = fill(".docx", word(f"<w:p>{paragraph}</w:p>"))
    assert result.filled == 1
    tags = re.findall(r"<w:(?:hyper|book|fld)[^>]*>", paragraph)
    assert sorted(re.findall(r"<w:(?:hyper|book|fld)[^>]*>", body(result.data))) == sorted(tags)


def test_adjacent_markup_is_one_tag() -> None:
    """Its parts are joined once: a paragraph may have thousands of bookmarks."""
    single, run = Single(Markup("<a/>", ((0, 4, 8),))), Run("one", Style(""), Markup("one"))
    (text,) = split_pieces([run, *[single] * 50, run], lambda text, _: text)
    assert isinstance(text, StyledText)
    assert [tag.markup for tag in text.content.tags] == list(text.copies) == ["<a/>" * 50]
    assert text.render(text.content) == "one" + "<a/>" * 50 + "one"
