"""Twilio's lists, page by page: each page names the next one, and only our own base URL is ever asked.

v2010 gives `next_page_uri` relative to its host, the newer APIs `meta.next_page_url` with the host in it (Twilio
OpenAPI, 2026-04-14).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from gateway.integrations.answers import Operation, doubt

TARGET = re.compile(r"/(?!/)[!-~]*")
MOST_PAGES = 1000


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def next_page(operation: Operation, uri: str | None, origins: Sequence[str]) -> str | None:
    """The next page's target below our base URL: the credentials go with it. origins: what it may begin with."""
    if not uri:
        return None
    for origin in origins:
        if uri.startswith(origin + "/"):
            uri = uri[len(origin) :]
            break
    if not TARGET.fullmatch(uri):
        raise doubt(operation, "the next page of the list is at another address, which is not followed")
    return uri


def read_pages(operation: Operation, first: str, read: Callable[[str], str | None]) -> None:
    """Read every page. read: one page by its target; gives the target of the next, None at the end."""
    target: str | None = first
    seen: set[str] = set()
    while target is not None:
        if target in seen or len(seen) >= MOST_PAGES:
            raise doubt(operation, "the list does not come to an end")
        seen.add(target)
        target = read(target)
