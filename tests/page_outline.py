"""What every page that stands alone must be: well formed, accessible, and without anything that is loaded."""

from __future__ import annotations

import re
from html.parser import HTMLParser

__all__ = ["Outline", "loads_nothing"]

VOID = frozenset({"meta", "br", "hr", "img", "link", "input"})


class Outline(HTMLParser):
    """Checks nesting, and keeps ids, heading levels, addresses, and what is said to be a number of a report."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.headings: list[int] = []
        self.references: list[str] = []
        self.addresses: list[str] = []
        self.numbers: list[tuple[str, str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self._keep(tag, attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._keep(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.numbers and not self.numbers[-1][1]:
            self.numbers[-1] = (self.numbers[-1][0], data)

    def check(self) -> None:
        """Ids are unique and there, headings in order."""
        assert self.open == []
        assert len(self.ids) == len(set(self.ids))
        assert set(self.references) <= set(self.ids)
        assert self.headings[0] == 1
        assert self.headings.count(1) == 1
        assert all(later - earlier <= 1 for earlier, later in zip(self.headings, self.headings[1:], strict=False))

    def _keep(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        for key, value in attrs:
            if key == "id":
                self.ids.append(value or "")
            elif key == "aria-labelledby":
                self.references += (value or "").split()
            elif key == "data-of":
                self.numbers.append((value or "", ""))
            elif key in {"href", "xlink:href", "src"}:
                self.addresses.append(value or "")


def loads_nothing(page: str) -> None:
    assert all(address.startswith("#") for address in Outline(page).addresses)
    assert not re.search(r"@import|url\((?!#)|<script|<link|<img|https?://(?!www\.w3\.org)", page)
    assert "default-src 'none'" in page
