"""The pages of documentation as tests see them: blocks of commands, links, tables and headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.portal import ROOT

PAGES = ("README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))
RUN = frozenset({"sh", "python", "console"})

_FENCE = re.compile(r"(?P<indent> *)```(?P<language>\w*) *")
_DIRECTIVE = re.compile(r" *<!-- (?P<text>.+?) -->")
_TESTED_BY = re.compile(r"tested by (?P<path>tests/\S+?)::(?P<name>\w+)")
_MEANWHILE = re.compile(r"(?P<who>\w+) (?P<vote>approve|reject)s meanwhile")
_LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, its language and text.

    `tested_by` names the test that runs it, as (file, function); `meanwhile` who votes while it runs, as (who, vote).
    """

    page: str
    line: int
    language: str
    text: str
    tested_by: tuple[str, str] | None = None
    meanwhile: tuple[str, str] | None = None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """Every fenced block of a page. Raises ValueError for a comment that is no directive, and for an open fence."""
    found = []
    lines = enumerate(text(page).splitlines(), 1)
    before = ""
    for number, line in lines:
        fence = _FENCE.fullmatch(line)
        if fence is None:
            before = line or before
            continue
        indent, body = len(fence["indent"]), []
        for _, inner in lines:
            if inner.strip() == "```":
                break
            body.append(inner[indent:])
        else:
            raise ValueError(f"{page}:{number}: the block has no end")
        found.append(Block(page, number, fence["language"], "\n".join(body) + "\n", **_directive(page, number, before)))
        before = ""
    return found


def _directive(page: str, number: int, before: str) -> dict[str, tuple[str, str]]:
    comment = _DIRECTIVE.fullmatch(before)
    if comment is None:
        return {}
    if tested := _TESTED_BY.fullmatch(comment["text"]):
        return {"tested_by": (tested["path"], tested["name"])}
    if meanwhile := _MEANWHILE.fullmatch(comment["text"]):
        return {"meanwhile": (meanwhile["who"], meanwhile["vote"])}
    raise ValueError(f"{page}:{number}: nobody understands the comment {comment['text']!r}")


def commands(page: str) -> list[Block]:
    """The blocks that a reader types or runs."""
    return [block for block in blocks(page) if block.language in RUN]


def links(page: str) -> Iterator[str]:
    for match in _LINK.finditer(_prose(page)):
        yield match["target"]


def anchors(page: str) -> set[str]:
    """What `#…` can lead to, spelt as forges spell headings."""
    titles = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def first_cells(page: str) -> list[str]:
    """The first cell of every row of every table."""
    return re.findall(r"^\| (.+?) \|", _prose(page), re.MULTILINE)


def codes(cell: str) -> list[str]:
    """What stands between backquotes."""
    return re.findall(r"`([^`]+)`", cell)


def _prose(page: str) -> str:
    return re.sub(r"^ *```.*?^ *```", "", text(page), flags=re.MULTILINE | re.DOTALL)
