"""Write small PDFs with text at given places."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

Text = tuple[float, float, float, str, str]
"""x, y, font size, font (`F1` is Helvetica, `F2` is Courier), text."""

FONTS = {"F1": "Helvetica", "F2": "Courier"}


def write_pdf(pages: Sequence[Sequence[Text]], content: bytes | None = None) -> bytes:
    """Return a PDF with these texts on its pages, or with other content on each page."""
    num_objects = 3 + len(FONTS)
    objects: list[bytes] = []
    kids = " ".join(f"{num_objects + 2 * index} 0 R" for index in range(len(pages)))
    objects.append(b"<< /Type /Catalog /Pages 2 0 R >>")
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode())
    for font in FONTS.values():
        objects.append(f"<< /Type /Font /Subtype /Type1 /BaseFont /{font} /Encoding /WinAnsiEncoding >>".encode())
    fonts = " ".join(f"/{name} {3 + index} 0 R" for index, name in enumerate(FONTS))
    for index, texts in enumerate(pages):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Resources << /Font << {fonts} >> >> "
            f"/Contents {num_objects + 2 * index + 1} 0 R >>".encode()
        )
        stream = content if content is not None else b"\n".join(_draw(text) for text in texts)
        packed = zlib.compress(stream, 1)
        objects.append(b"<< /Filter /FlateDecode /Length %d >>\nstream\n" % len(packed) + packed + b"\nendstream")
    data = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(data))
        data += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for offset in offsets:
        data += b"%010d 00000 n \n" % offset
    data += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(data)


def _draw(text: Text) -> bytes:
    x, y, size, font, string = text
    escaped = string.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").encode("cp1252")
    return f"BT /{font} {size} Tf 1 0 0 1 {x} {y} Tm (".encode() + escaped + b") Tj ET"
