"""A page of HTML that needs nothing but itself: text, tables and pictures, for screens light or dark, and for print."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --line: #d5dae0; --back: #ffffff; --tint: #f4f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ec; --soft: #a3adb8; --line: #3a424c; --back: #15191e; --tint: #1f252c; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 2rem 1.5rem 4rem; background: var(--back); color: var(--ink);
  font: 16px/1.55 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
p { margin: .6rem 0; max-width: 48rem; overflow-wrap: anywhere; }
.when, figcaption, .note { color: var(--soft); font-size: .9rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums; font-size: .93rem; }
th, td { text-align: right; padding: .32rem .65rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; color: var(--soft); vertical-align: bottom; }
tbody td { white-space: nowrap; }
th:first-child, td:first-child, td.text, th.text { text-align: left; }
td.text { white-space: normal; overflow-wrap: anywhere; min-width: 9rem; }
th small, td small { display: block; font-weight: 400; color: var(--soft); font-size: .85em; line-height: 1.2; }
tr.first td { font-weight: 600; background: var(--tint); }
figure { margin: 1rem 0 1.4rem; break-inside: avoid; }
figure img { display: block; width: 100%; height: auto; background: #fff; border: 1px solid var(--line);
  border-radius: 6px; padding: 10px; }
figcaption { margin-top: .4rem; max-width: 48rem; }
dt { font-weight: 600; margin-top: .5rem; break-after: avoid; } dd { margin: 0 0 0 1.2rem; max-width: 46rem; }
code, pre { font: .88rem/1.45 ui-monospace, "DejaVu Sans Mono", monospace; }
pre { background: var(--tint); border: 1px solid var(--line); border-radius: 6px; padding: .7rem .9rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
@media print {
  :root { color-scheme: light; --ink: #000; --soft: #444; --line: #bbb; --back: #fff; --tint: #f4f4f4; }
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  table { font-size: 8.5pt; } th, td { padding: .2rem .45rem; }
  h2 { break-after: avoid; } table, pre { break-inside: avoid; } .wide { overflow: visible; }
}
"""


def page(title: str, parts: Sequence[str]) -> str:
    """Return a whole page; the parts are HTML, the title is text."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>\n"
    )


def heading(text: str) -> str:
    """Return the heading of a section."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph; '' for an empty text."""
    style = f' class="{kind}"' if kind else ""
    return f"<p{style}>{escape(text)}</p>" if text else ""


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, text: Sequence[int] = (0,), first_stands_out: bool = False
) -> str:
    """Return a table.

    Parameters
    ----------
    header, rows
        The texts of the cells; what stands behind a line end is set small below the rest. no header: ().
    text
        The columns that hold words, which are set from the left and may be broken; the others hold figures.
    first_stands_out
        Whether the first row is emphasised.
    """

    def cell(kind: str, number: int, content: str) -> str:
        style = ' class="text"' if number in text and number > 0 else ""
        main, _, below = content.partition("\n")
        small = f"<small>{escape(below)}</small>" if below else ""
        return f"<{kind}{style}>{escape(main)}{small}</{kind}>"

    head = "".join(cell("th", number, name) for number, name in enumerate(header))
    head = f"<thead><tr>{head}</tr></thead>\n" if header else ""
    lines = []
    for index, row in enumerate(rows):
        style = ' class="first"' if first_stands_out and index == 0 else ""
        lines.append(f"<tr{style}>{''.join(cell('td', number, one) for number, one in enumerate(row))}</tr>")
    body = "\n".join(lines)
    return f'<div class="wide"><table>\n{head}<tbody>\n{body}\n</tbody>\n</table></div>'


def picture(path: Path, alt: str, caption: str) -> str:
    """Return a figure with the PNG in the page itself."""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{escape(alt, quote=True)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def definitions(terms: Sequence[tuple[str, str]]) -> str:
    """Return a list of terms, each with its explanation."""
    return "<dl>" + "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in terms) + "</dl>"


def command(text: str) -> str:
    """Return a command that can be copied."""
    return f"<pre>{escape(text)}</pre>"
