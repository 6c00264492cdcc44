"""Where we listen, what outsiders call us, and how the pages for customers look."""

from __future__ import annotations

from gateway.settings.api_tokens import read_api_tokens
from gateway.settings.text import Reader
from gateway.settings.types import BrandSettings, WebSettings

MOST_BRAND_CHARACTERS = 60
BRAND_COLOR = "#0b57d0"


def read_web(reader: Reader, is_dyno: bool) -> WebSettings:
    keys = reader.secrets("SECRET_KEY")
    if any(len(key) < 16 for key in keys):
        reader.fault("SECRET_KEY", "is too short: expected 16 characters or more, from a random source.")
    return WebSettings(
        host=reader.matching("HOST", r"[A-Za-z0-9.:_-]+", "an address such as 127.0.0.1")
        or ("0.0.0.0" if reader.is_set("PORT") else "127.0.0.1"),  # noqa: S104 - a platform that gives PORT routes to us
        port=reader.integer("PORT", 8000, least=1, most=65535),
        threads=reader.integer("WEB_THREADS", 16, least=1, most=1024),
        public_url=reader.url("PUBLIC_URL", "", is_plain_http_allowed=True) or None,
        trusted_proxies=reader.integer("TRUSTED_PROXIES", 1 if is_dyno else 0, most=10),
        secret_keys=keys,
        api_tokens=read_api_tokens(reader),
    )


def read_brand(reader: Reader) -> BrandSettings:
    name = reader.text("BRAND_NAME")
    if len(name) > MOST_BRAND_CHARACTERS or not name.isprintable():
        reader.fault("BRAND_NAME", f"expected at most {MOST_BRAND_CHARACTERS} printable characters.")
    logo_url = reader.url("BRAND_LOGO_URL", "") or None
    return BrandSettings(
        name=name,
        color=reader.matching("BRAND_COLOR", r"#[0-9a-fA-F]{6}", "a colour such as #0b57d0", BRAND_COLOR).lower(),
        logo_url=logo_url,
    )
