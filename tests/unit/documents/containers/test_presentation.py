"""Presentations: slides, tables, notes, charts and masters."""

from __future__ import annotations

import io

import pptx
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches
from tests.unit.documents.containers.archives import changed_members, fill, pack, saved, texts, unpack


def presentation() -> bytes:
    file = pptx.Presentation()
    slide = file.slides.add_slide(file.slide_layouts[1])
    slide.shapes.title.text = "two dogs"
    frame = slide.placeholders[1].text_frame
    frame.text = "a man"
    paragraph = frame.add_paragraph()
    paragraph.level = 1
    for text, is_bold in (("in a ", None), ("red shirt", True), (" runs", None)):
        run = paragraph.add_run()
        run.text, run.font.bold = text, is_bold
    paragraph.add_line_break()
    paragraph.add_run().text = "Next line"
    size = Inches(1), Inches(2), Inches(6), Inches(2)
    table = slide.shapes.add_table(1, 2, *size).table
    table.cell(0, 0).text, table.cell(0, 1).text = "a cell", "12"
    slide.notes_slide.notes_text_frame.text = "a note"
    chart = CategoryChartData()
    chart.categories = ["dogs"]
    chart.add_series("a park", (1,))
    slide.shapes.add_chart(XL_CHART_TYPE.PIE, *size, chart)
    return saved(file)


def test_the_number_of_a_slide_is_a_number_of_the_text() -> None:
    file = pptx.Presentation()
    slide = file.slides.add_slide(file.slide_layouts[5])
    slide.shapes.title.text = "Slide "
    field = slide.shapes.title.text_frame.paragraphs[0]._p.add_r()
    field.tag = field.tag.removesuffix("}r") + "}fld"
    field.set("id", "{86CB4B4D-7CA3-9044-876B-883B54F8677D}")
    field.set("type", "slidenum")
    field[-1].text = "4"
    assert texts(".pptx", saved(file)) == ["Slide 4"]
    new = pptx.Presentation(io.BytesIO(fill(".pptx", saved(file)).data)).slides[0].shapes.title
    assert [(element.tag.rpartition("}")[2], element[-1].text) for element in new.text_frame.paragraphs[0]._p] == [
        ("r", "SLIDE "),
        ("fld", "4"),
    ]


def test_a_link_stays_at_its_words() -> None:
    file = pptx.Presentation()
    slide = file.slides.add_slide(file.slide_layouts[1])
    frame = slide.placeholders[1].text_frame
    lines = (["<", "a@example.org", ">"], ["see ", "all the other pages", " here"], ["", "a page", ""])
    for line in lines:
        paragraph = frame.add_paragraph()
        for number, text in enumerate(line):
            (run := paragraph.add_run()).text = text
            run.font.bold = False
            if number == 1:
                run.hyperlink.address = "https://example.org"
    new = pptx.Presentation(io.BytesIO(fill(".pptx", saved(file)).data)).slides[0].placeholders[1].text_frame
    links = [[run.text for run in paragraph.runs if run.hyperlink.address] for paragraph in new.paragraphs[1:]]
    assert links == [["a@example.org"], ["ALL THE OTHER PAGES"], ["A PAGE"]]
    assert [paragraph.text for paragraph in new.paragraphs[1:]] == [
        "<a@example.org>",
        "SEE ALL THE OTHER PAGES HERE",
        "A PAGE",
    ]


def test_a_presentation_of_python_pptx() -> None:
    data = presentation()
    result = fill(".pptx", data)
    assert not result.reports
    slide = pptx.Presentation(io.BytesIO(result.data)).slides[0]
    assert slide.shapes.title.text == "TWO DOGS"
    paragraphs = slide.placeholders[1].text_frame.paragraphs
    assert [paragraph.text for paragraph in paragraphs] == ["A MAN", "IN A RED SHIRT RUNS\vNEXT LINE"]
    assert [(run.text, run.font.bold) for run in paragraphs[1].runs] == [
        ("IN A ", None),
        ("RED SHIRT", True),
        (" RUNS", None),
        ("NEXT LINE", None),
    ]
    assert paragraphs[1].level == 1
    tables = [shape.table for shape in slide.shapes if shape.has_table]
    assert [cell.text for cell in tables[0].rows[0].cells] == ["A CELL", "12"]
    assert slide.notes_slide.notes_text_frame.text == "A NOTE"
    (chart,) = [shape.chart for shape in slide.shapes if shape.has_chart]
    assert list(chart.plots[0].categories) == ["DOGS"]
    assert chart.plots[0].series[0].name == "A PARK"
    changed = changed_members(data, result.data)
    assert {name for name in changed if "slideLayout" in name} == set()
    assert "ppt/slides/slide1.xml" in changed


def test_masters_languages_and_descriptions() -> None:
    members = unpack(presentation())
    shape = (
        '<p:sp><p:nvSpPr><p:cNvPr id="90" name="x"/><p:cNvSpPr/><p:nvPr/></p:nvSpPr><p:spPr/><p:txBody><a:bodyPr/>'
        '<a:p><a:r><a:rPr lang="en-US" dirty="0" err="1"/><a:t>{}</a:t></a:r><a:endParaRPr lang="en-US"/></a:p>'
        "</p:txBody></p:sp></p:spTree>"
    )
    master = members["ppt/slideMasters/slideMaster1.xml"].decode()
    members["ppt/slideMasters/slideMaster1.xml"] = master.replace("</p:spTree>", shape.format("for everyone")).encode()
    slide = members["ppt/slides/slide1.xml"].decode()
    slide = slide.replace('name="Title 1"', 'name="Title 1" descr="a picture &amp; more"')
    members["ppt/slides/slide1.xml"] = slide.encode()
    new = unpack(fill(".pptx", pack(members)).data)
    expected = shape.format("FOR EVERYONE").replace(' lang="en-US" dirty="0" err="1"', ' lang="de-DE"')
    text = new["ppt/slideMasters/slideMaster1.xml"].decode()
    assert expected in text
    assert "Click to edit Master title style" in text
    assert '<a:defRPr lang="en-US"' not in new["ppt/presentation.xml"].decode()
    assert 'descr="A PICTURE &amp; MORE"' in new["ppt/slides/slide1.xml"].decode()
