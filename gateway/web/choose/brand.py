"""How the page looks like its owner's: a name, a colour that can be read on, a logo."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.settings import BrandSettings

WHITE, BLACK = "#ffffff", "#111111"


@dataclass(frozen=True, slots=True)
class Brand:
    """ink: what is written on `color`.   logo_origin: where the logo comes from, for the policy of the page."""

    name: str
    color: str
    ink: str
    logo_url: str | None
    logo_origin: str | None

    @classmethod
    def of(cls, settings: BrandSettings) -> Brand:
        parts = urlsplit(settings.logo_url or "")
        origin = f"{parts.scheme}://{parts.netloc}" if settings.logo_url else None
        return cls(settings.name, settings.color, readable_on(settings.color), settings.logo_url, origin)


PLAIN = Brand("", "#0b57d0", WHITE, None, None)


def readable_on(color: str) -> str:
    """White or black, whichever has the greater contrast (WCAG 2.2, 1.4.3)."""
    return WHITE if contrast(color, WHITE) >= contrast(color, BLACK) else BLACK


def contrast(first: str, second: str) -> float:
    """From 1 to 21, by relative luminance."""
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color: str) -> float:
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
