"""A Word document: headings, tables whose first row repeats, pictures with their words as alternative text."""

import io
from pathlib import Path
from typing import Any

from ser.optional import need
from ser.results.blocks import Block, Command, Facts, Image, Notice, Picture, Report, Section, Table, Text
from ser.results.plotting.style import strip_title
from ser.workspace import writing

ENDING = ".docx"
PAGE = 6.3  # inches between the margins
DENSE = 7  # columns; wider tables are set smaller
SHADE = (0, 114, 178)


def write(report: Report, path: Path) -> None:
    """Write the document whole; a ConfigError where python-docx is not installed."""
    need("python-docx", "docx", "a docx report", module="docx")
    from docx import Document
    from docx.shared import Inches, Pt

    document = Document()
    for page in document.sections:
        page.left_margin = page.right_margin = Inches((float(page.page_width or 0) / 914400 - PAGE) / 2)
    document.styles["Normal"].font.name, document.styles["Normal"].font.size = "Calibri", Pt(10)
    document.core_properties.title = report.title
    document.core_properties.author = ", ".join(value for _, value in report.about)
    document.core_properties.comments = ""
    document.add_heading(report.title, 0)
    for section in report.sections:
        _section(document, section, 1)
    with writing(path) as temporary:
        document.save(str(temporary))


def _section(document: Any, section: Section, level: int) -> None:
    document.add_heading(section.title, level)
    for block in section.blocks:
        _block(document, block, level + 1)
    for inner in section.sections:
        _section(document, inner, level + 1)


def _block(document: Any, block: Block, level: int) -> None:
    if isinstance(block, Text):
        document.add_paragraph().add_run(block.text).bold = block.lead
    elif isinstance(block, Notice):
        document.add_heading(block.heading, level)
        for line in block.lines:
            document.add_paragraph(line, style="List Bullet")
    elif isinstance(block, Command):
        document.add_paragraph(f"{block.caption}:")
        document.add_paragraph().add_run(block.text).font.name = "Courier New"
    elif isinstance(block, Picture):
        _picture(document, block)
    elif isinstance(block, Image):
        _image(document, block)
    else:
        _table(document, Table(block.caption, ["name", "value"], block.rows, 2) if isinstance(block, Facts) else block)


def _image(document: Any, image: Image) -> None:
    from docx.shared import Inches

    try:
        shape = document.add_picture(str(image.path))
    except Exception as error:  # the package raises errors of many kinds at a damaged picture
        document.add_paragraph(f"{image.path.name} is damaged ({error}): {image.words}")
        return
    if shape.width > Inches(PAGE):
        shape.width, shape.height = Inches(PAGE), round(shape.height * Inches(PAGE) / shape.width)
    shape._inline.docPr.set("descr", image.words)
    document.add_paragraph(image.words, style="Caption")


def _picture(document: Any, picture: Picture) -> None:
    from docx.shared import Inches

    caption = strip_title(picture.figure)
    image = io.BytesIO()
    picture.figure.savefig(image, format="png", dpi=200)
    image.seek(0)
    width = min(PAGE, float(picture.figure.get_figwidth()))
    shape = document.add_picture(image, width=Inches(width))
    properties = shape._inline.docPr
    properties.set("descr", f"{picture.about} {picture.words}")
    properties.set("title", picture.about)
    words = document.add_paragraph(style="Caption").add_run(f"{picture.about} {caption}. {picture.words}")
    words.bold = False


def _table(document: Any, table: Table) -> None:
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.shared import Inches, Pt

    document.add_paragraph(table.caption, style="Caption").paragraph_format.keep_with_next = True
    widths = [Inches(width) for width in _widths(table)]
    made = document.add_table(rows=0, cols=len(table.head), style="Table Grid")
    size = Pt(9 if len(table.head) <= DENSE else 7)
    for number, row in enumerate([table.head, *table.rows]):
        for column, (cell, words) in enumerate(zip(made.add_row().cells, row, strict=True)):
            cell.width, paragraph = widths[column], cell.paragraphs[0]
            run = paragraph.add_run(words)
            run.font.size, run.bold = size, number == 0
            if not table.words[column]:
                paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT
            share = _share(table, number - 1, column - table.left)
            if share is not None:
                _shade(cell, share)
    made.autofit = False
    for column, width in zip(made.columns, widths, strict=True):
        column.width = width
    _repeat(made.rows[0])
    if table.note:
        document.add_paragraph().add_run(table.note).font.size = Pt(8)
    document.add_paragraph()


def _widths(table: Table) -> list[float]:
    """The width of each column in inches, by its longest cell; together a page at most."""
    longest = [max(map(len, column)) for column in zip(table.head, *table.rows, strict=True)]
    wanted = [0.25 + 0.075 * min(60, max(3, n)) for n in longest]
    return [width * min(1.0, PAGE / sum(wanted)) for width in wanted]


def _share(table: Table, row: int, column: int) -> float | None:
    return table.shade[row][column] if table.shade is not None and row >= 0 and column >= 0 else None


def _shade(cell: Any, share: float) -> None:
    """Colour the background of a cell, darker where the share is higher; black words stay readable."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    mixed = "".join(f"{round(255 - 0.7 * share * (255 - part)):02X}" for part in SHADE)
    mark = OxmlElement("w:shd")
    for name, value in (("val", "clear"), ("color", "auto"), ("fill", mixed)):
        mark.set(qn(f"w:{name}"), value)
    cell._tc.get_or_add_tcPr().append(mark)


def _repeat(row: Any) -> None:
    """Repeat a row on top of each page of the table."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    mark = OxmlElement("w:tblHeader")
    mark.set(qn("w:val"), "true")
    row._tr.get_or_add_trPr().append(mark)
