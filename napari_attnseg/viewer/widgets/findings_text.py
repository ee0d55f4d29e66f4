"""Findings of a data check as text: equal kinds folded into one line, file names as links."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote, unquote

from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.pairs import extension_of
from napari_attnseg.data.report import Finding, Severity
from napari_attnseg.wording import counted

FOLD_FROM = 4
"""So many findings of one kind become one line."""
OPEN, FOLD = "open:", "fold:"
"""What a link begins with: an image to open, or a kind of finding to unfold."""
_NOUNS: dict[Severity, str] = {"error": "problem", "warning": "warning", "note": "note"}
_HEADINGS: dict[Severity, str] = {"error": "Problems", "warning": "Warnings", "note": "Good to know"}
# what many findings of a kind have in common, and what to do about them
_MANY = {
    "ambiguous-name": "{n} files have names that leave open which mask belongs to which image; rename them.",
    "constant": "{n} images are blank: all of their pixels are equal. Remove those that are there by mistake.",
    "duplicate": "{n} images have the same pixels as another one; keep one of each.",
    "empty-mask": "{n} masks are empty: no pixel is annotated. That is fine where there is nothing to find.",
    "full-mask": "{n} masks have no background: every pixel is annotated. Check that they are masks.",
    "mask-unreadable": "{n} masks cannot be read; export them again or remove them.",
    "non-finite": "{n} images have pixels that are NaN or infinite; they are not trained on.",
    "shape-mismatch": "{n} masks are not of the size of their image; export them again at its size.",
    "unpaired-mask": "{n} masks have no image and are left out; add their images, or rename them.",
    "unreadable": "{n} images cannot be read; export them again or remove them.",
}

Group = tuple[Finding, ...]


def grouped(findings: Sequence[Finding]) -> list[Group]:
    """Put findings of one severity and kind together where there are many of them; the order is kept."""
    kinds: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        kinds.setdefault((finding.severity, finding.code), []).append(finding)
    groups: list[Group] = []
    for same in kinds.values():
        groups += [tuple(same)] if len(same) >= FOLD_FROM else [(finding,) for finding in same]
    return groups


def count_text(findings: Sequence[Finding]) -> str:
    """Say how many findings there are: '1 problem, 2 warnings'."""
    parts = []
    for severity, noun in _NOUNS.items():
        number = sum(finding.severity == severity for finding in findings)
        if number:
            parts.append(counted(number, noun))
    return ", ".join(parts) or "Nothing to report in this folder"


def findings_html(findings: Sequence[Finding], unfolded: Collection[str], colours: Mapping[str, str]) -> str:
    """Write findings as HTML.

    Parameters
    ----------
    findings
        The most severe first.
    unfolded
        The codes of the kinds whose files are all shown.
    colours
        'link': the colour of links, '#rrggbb'.
    """
    style = f"color:{colours['link']}; text-decoration:underline"
    lines: list[str] = []
    severity: Severity | None = None
    for group in grouped(findings):
        if group[0].severity != severity:
            severity = group[0].severity
            lines.append(f'<p style="margin:6px 0 2px 0"><b>{_HEADINGS[severity]}</b></p>')
        text = _one(group[0], style) if len(group) == 1 else _many(group, group[0].code in unfolded, style)
        lines.append(f'<p style="margin:0 0 5px 0">{text}</p>')
    return "".join(lines)


def path_of_link(link: str) -> Path | None:
    """Return the file that a link opens, or None if it does something else."""
    return Path(unquote(link.removeprefix(OPEN))) if link.startswith(OPEN) else None


def convention_text(findings: Sequence[Finding], convention: MaskConvention | None) -> str:
    """Say in a sentence how the masks were read, or why they could not be."""
    if convention is not None:
        return next((item.message for item in findings if item.code == "mask-kind"), " ".join(convention.notices))
    return next((item.message for item in findings if _is_riddle(item)), "")


def is_ambiguous(findings: Sequence[Finding]) -> bool:
    """Whether the values of the masks leave open what they mean, so that the user has to say it."""
    return any(_is_riddle(finding) for finding in findings)


def _is_riddle(finding: Finding) -> bool:
    return finding.code == "mask-values" and finding.severity == "error"


def _one(finding: Finding, style: str) -> str:
    # the link says which file it is; its whole path is for a terminal
    message = escape(finding.message.replace(f" ({finding.path})", ""), quote=False)
    name = escape(finding.path.name, quote=False)
    if not extension_of(finding.path):  # it concerns the folder
        return message
    link = _link(finding.path, style)
    before, found, after = message.partition(name)
    return before + link + after if found else f"{message} ({link})"


def _many(group: Group, unfolded: bool, style: str) -> str:
    code = group[0].code
    text = _MANY.get(code, "{n} files: " + group[0].message.replace("{", "{{").replace("}", "}}"))
    toggle = f'<a href="{FOLD}{code}" style="{style}">{"hide" if unfolded else "show"} names</a>'
    text = f"{escape(text.format(n=len(group)), quote=False)} [{toggle}]"
    return text + "".join(f"<br>&nbsp;&nbsp;{_link(item.path, style)}" for item in group) if unfolded else text


def _link(path: Path, style: str) -> str:
    return f'<a href="{OPEN}{quote(str(path), safe="")}" style="{style}">{escape(path.name, quote=False)}</a>'
