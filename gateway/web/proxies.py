"""Who asks us and what they call us, as far as the proxies before us are trusted to say.

Each proxy adds what it saw at the end of a list, so as many entries count from there as there are proxies of ours;
what stands before them anybody could have written.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from werkzeug.middleware.proxy_fix import ProxyFix

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]

NOBODY = "unknown"


def client_of(peer: str, forwarded_for: str | None, trusted_proxies: int) -> str:
    """The address that asked; `peer` is who opened the connection. What is no address is nobody's.

    Safe to ask again with its own answer as the peer.
    """
    hops = forwarded_for.split(",") if forwarded_for and trusted_proxies else []
    # Fewer than we trust: it did not come through all of them, and who came last is all that is sure.
    told = hops[-trusted_proxies].strip() if len(hops) >= trusted_proxies > 0 else peer
    return told if is_address(told) else NOBODY


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback_address(text: str) -> bool:
    return is_address(text) and ipaddress.ip_address(text).is_loopback


def as_seen_from_outside(app: Wsgi, trusted_proxies: int, public_url: str | None) -> Wsgi:
    """The application for which each request comes from its client, and to the address that outsiders know.

    X-Forwarded-Proto is a single word nearly everywhere, the nearest proxy's. X-Forwarded-Host is not believed: many
    proxies hand on what the client wrote there. PUBLIC_URL says it for good.
    """
    if public_url is not None:
        app = _called(app, public_url)
    if trusted_proxies:
        app = ProxyFix(app, x_for=trusted_proxies, x_proto=1, x_host=0)
    return app


def _called(app: Wsgi, public_url: str) -> Wsgi:
    parts = urlsplit(public_url)

    def called(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["wsgi.url_scheme"], environ["HTTP_HOST"] = parts.scheme, parts.netloc
        return app(environ, start_response)

    return called
