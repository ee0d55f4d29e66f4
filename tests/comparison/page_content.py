"""What a report shows, read as a browser reads it."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path


class PageContent(HTMLParser):
    """Collects the text, the pictures, the cells of tables and every address that a page would load."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.pictures: list[str] = []
        self.addresses: list[str] = []
        self.headings: list[str] = []
        self.rows: list[list[str]] = []
        self._inside: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    @property
    def text(self) -> str:
        """All that is shown, in one line."""
        return " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "img":
            self.pictures.append(values["src"] or "")
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "srcset", "action")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in ("meta", "img", "br"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._inside.pop() == tag, f"</{tag}> closes what was not open"

    def handle_data(self, data: str) -> None:
        if "style" in self._inside:
            self.addresses += [data] if "url(" in data or "@import" in data else []
            return
        self.texts.append(data)
        if "h2" in self._inside:
            self.headings.append(data)
        if {"td", "th"} & set(self._inside):
            self.rows[-1][-1] += f" {data}" if self.rows[-1][-1] else data
