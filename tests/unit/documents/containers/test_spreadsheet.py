"""Workbooks: strings, rich text, comments and the headings of tables; numbers and formulas stay."""

from __future__ import annotations

import io
from html import unescape

import openpyxl
import pytest
import xlsxwriter
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from openpyxl.comments import Comment
from openpyxl.worksheet.table import Table
from tests.unit.documents.containers.archives import changed_members, fill, pack, saved, texts, unpack


def test_a_workbook_of_openpyxl() -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["a man", 3.5, "=SUM(B1:B1)", '=IF(B1>3,"yes","no")'])
    sheet["A2"] = CellRichText("in a ", TextBlock(InlineFont(b=True), "red shirt"), " now")
    sheet["A3"] = "First line\nSecond line"
    sheet["A1"].comment = Comment("a comment", "x")
    data = saved(book)
    result = fill(".xlsx", data)
    assert not result.reports
    new = openpyxl.load_workbook(io.BytesIO(result.data), rich_text=True).active
    row = [cell.value for cell in new[1]]
    assert row == ["A MAN", 3.5, "=SUM(B1:B1)", '=IF(B1>3,"yes","no")']
    assert new["A2"].value == CellRichText("IN A ", TextBlock(InlineFont(b=True), "RED SHIRT"), " NOW")
    assert new["A3"].value == "FIRST LINE\nSECOND LINE"
    assert new["A1"].comment.text == "A COMMENT"
    assert changed_members(data, result.data) == {"xl/worksheets/sheet1.xml", "xl/comments/comment1.xml"}


def test_shared_strings_of_xlsxwriter() -> None:
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file)
    sheet = book.add_worksheet("Data")
    italic = book.add_format({"italic": True})
    sheet.write_row(0, 0, ["a man", "a man", 2, "2", " space "])
    sheet.write_rich_string(1, 0, "a ", italic, "dog", " runs")
    sheet.write_formula(2, 0, '="text"', None, "text")
    sheet.insert_textbox(3, 0, "a box")
    book.close()
    data = file.getvalue()
    result = fill(".xlsx", data)
    assert texts(".xlsx", data) == ["a box", "a man", " space ", "a dog runs"]
    new = openpyxl.load_workbook(io.BytesIO(result.data), rich_text=True).active
    assert [cell.value for cell in new[1]] == ["A MAN", "A MAN", 2, "2", " SPACE "]
    assert str(new["A2"].value) == "A DOG RUNS"
    assert changed_members(data, result.data) == {"xl/sharedStrings.xml", "xl/drawings/drawing1.xml"}


def with_shared_strings(strings: str) -> bytes:
    strings = f'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{strings}</sst>'
    book = openpyxl.Workbook()
    book.active["A1"] = "x"
    members = unpack(saved(book))
    types = members["[Content_Types].xml"].decode()
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    if "sharedStrings" not in types:
        types = types.replace("</Types>", f'<Override PartName="/xl/sharedStrings.xml" ContentType="{kind}"/></Types>')
    members |= {"[Content_Types].xml": types.encode(), "xl/sharedStrings.xml": strings.encode()}
    return pack(members)


def test_escaped_characters_and_pronunciations() -> None:
    strings = "<si><t>one_x000D_\ntwo</t></si>"
    strings += "<si><t>an _x005F_x0041_ b</t><rPh sb='0' eb='1'><t>x</t></rPh><phoneticPr fontId='1'/></si>"
    new = unpack(fill(".xlsx", with_shared_strings(strings), str).data)["xl/sharedStrings.xml"].decode()
    assert new.partition(">")[2] == (
        '<si><t xml:space="preserve">one\ntwo</t></si><si><t xml:space="preserve">an _x005F_x0041_ b</t></si></sst>'
    )


@pytest.mark.parametrize(("escaped", "character"), [("_xD83D__xDE00_", "😀"), ("_xD83D_", "\ufffd")])
def test_escaped_surrogates_are_one_character(escaped: str, character: str) -> None:
    data = with_shared_strings(f"<si><t>good {escaped}</t></si>")
    assert texts(".xlsx", data)[-1] == f"good {character}"
    new = unpack(fill(".xlsx", data).data)["xl/sharedStrings.xml"].decode()
    assert f'<t xml:space="preserve">GOOD {character}</t>' in new


def test_the_columns_of_a_table_have_the_names_of_their_headings() -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["name", "price", "Price now", "sum"])
    sheet.append(["a dog", 1, 2, "=T1[[#This Row],[Price now]]"])
    sheet.add_table(Table(displayName="T1", ref="A1:D2"))

    def translate(text: str) -> str:
        return "NAME" if text in ("name", "price") else text.upper()

    result = fill(".xlsx", saved(book), translate)
    new = openpyxl.load_workbook(io.BytesIO(result.data)).active
    assert [cell.value for cell in new[1]] == ["NAME", "price", "Price now", "SUM"]
    assert [column.name for column in new.tables["T1"].tableColumns] == ["NAME", "price", "Price now", "SUM"]
    assert new["A2"].value == "A DOG"
    assert sorted(report.reason for report in result.reports) == [
        "another column of the table has the same translation",
        "formulas refer to the table column 'Price now'",
    ]


HEADER = '&L&"Arial,Bold"&12Report for R&&D&C&BMy &Idog&I and cat&B&RPage &P of &N'


def headed(header: str, footer: str = "&LPrinted on &D&C&F / &A&R&P") -> bytes:
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file)
    sheet = book.add_worksheet("Data")
    sheet.set_header(header)
    sheet.set_footer(footer)
    book.close()
    return file.getvalue()


def header_of(data: bytes, element: str = "oddHeader") -> str:
    part = unpack(data)["xl/worksheets/sheet1.xml"].decode()
    return unescape(part.partition(f"<{element}>")[2].partition("<")[0])


def test_headers_and_footers_keep_their_codes() -> None:
    data = headed(HEADER)
    sources = ["Report for R&D", "My dog and cat", "Page 3 of 4", "Printed on "]
    assert texts(".xlsx", data) == sources
    result = fill(".xlsx", data, str.upper)
    assert not result.reports
    assert header_of(result.data) == ('&L&"Arial,Bold"&12REPORT FOR R&&D&C&BMY &IDOG&I AND CAT&B&RPAGE &P OF &N')
    assert header_of(result.data, "oddFooter") == "&LPRINTED ON &D&C&F / &A&R&P"
    assert changed_members(data, result.data) == {"xl/worksheets/sheet1.xml"}
    openpyxl.load_workbook(io.BytesIO(result.data))


@pytest.mark.parametrize(
    ("header", "translation", "reason"),
    [
        ("&C&14title 2", "2 titles", "Excel would read it as another code of the header"),
        ("&Lmy title", "a long title " * 20, "the header would have more than 255 characters"),
    ],
)
def test_a_header_that_excel_would_read_otherwise_stays(header: str, translation: str, reason: str) -> None:
    data = headed(header, "")
    result = fill(".xlsx", data, lambda _: translation)
    assert [report.reason for report in result.reports] == [reason]
    assert result.data == data


def test_a_translation_with_an_ampersand_is_no_code() -> None:
    result = fill(".xlsx", headed("&Lmy title&Rtwo", ""), lambda text: "A & B &P" if text == "my title" else "zwei")
    assert header_of(result.data) == "&LA && B &&P&Rzwei"


def test_the_header_of_a_sheet_of_a_chart_is_translated() -> None:
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file)
    book.add_worksheet().write_row(0, 0, [1, 2])
    chart = book.add_chart({"type": "line"})
    chart.add_series({"values": "=Sheet1!$A$1:$B$1"})
    sheet = book.add_chartsheet()
    sheet.set_chart(chart)
    sheet.set_header("&Cmy chart")
    book.close()
    assert texts(".xlsx", file.getvalue()) == ["my chart"]
