"""The choice page as a customer meets it: from the link to a number that works, on a desk and on a phone."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import CHROMIUM, Gateway

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM, reason="no Chromium found")]

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
READY = "Call your number now"
# Where a person wants to look at the pages: a folder for pictures.
PICTURES = os.environ.get("BROWSER_PICTURES")


@pytest.fixture
def visit(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page as a customer would; what the browser complained of fails the test."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def complain(said: Any) -> None:
        # A field that was left empty is answered so.
        if "422" not in said.text:
            complaints.append(said.text)

    def open_page(link: str, **how: Any) -> Any:
        context = chromium.new_context(**how)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda said: complain(said) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(link)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def keep(page: Any, name: str) -> None:
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES) / f"{name}.png"), full_page=True)


def fits(page: Any) -> bool:
    """Whether nobody has to scroll sideways."""
    return bool(page.evaluate("document.scrollingElement.scrollWidth <= window.innerWidth"))


@pytest.mark.parametrize(("name", "size"), [("desk", DESK), ("phone", PHONE)], ids=["desk", "phone"])
def test_a_customer_chooses_a_number_and_can_call_it(
    gateway: Gateway, visit: Callable[..., Any], name: str, size: dict[str, int]
) -> None:
    page = visit(gateway.customer(f"customer-{name}"), viewport=size)
    keep(page, f"{name}-numbers")
    page.get_by_label("Area code").fill("212")
    page.get_by_role("button", name="Search").click()
    assert fits(page)

    first = page.get_by_role("button", name=re.compile("^Choose")).first
    label = first.get_attribute("aria-label")
    first.click()
    page.get_by_role("heading", name=READY).wait_for()

    assert "+1 (212)" in label
    assert page.get_by_role("link", name=label.removeprefix("Choose ")).get_attribute("href").startswith("tel:+1212")
    assert fits(page)
    keep(page, f"{name}-ready")


def test_a_customer_with_no_mouse_and_no_script_gets_there_too(gateway: Gateway, visit: Callable[..., Any]) -> None:
    page = visit(gateway.customer("customer-keys"), viewport=DESK, java_script_enabled=False)

    for _ in range(20):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if (focused.get_attribute("aria-label") or "").startswith("Choose"):
            break
    page.keyboard.press("Enter")

    page.get_by_role("heading", name=READY).wait_for()


def test_where_a_country_wants_an_address_the_page_asks_for_it(gateway: Gateway, visit: Callable[..., Any]) -> None:
    page = visit(gateway.customer("customer-za", "metadata.country=ZA"), viewport=PHONE)
    page.get_by_role("button", name=re.compile("^Choose")).first.click()
    keep(page, "phone-address")
    assert fits(page)

    page.get_by_role("button", name=re.compile("^Choose")).click()
    assert page.get_by_label("City").get_attribute("aria-invalid") == "true"
    keep(page, "phone-address-wrong")
    for label, text in (
        ("Name of the company or person", "Sunny Garage"),
        ("Street and number", "1 Long Street"),
        ("City", "Cape Town"),
        ("State, province or region", "Western Cape"),
        ("Postal code", "8001"),
    ):
        page.get_by_label(label).fill(text)
    page.get_by_role("button", name=re.compile("^Choose")).click()

    page.get_by_role("heading", name=re.compile("on its way|Call your number")).wait_for()
    keep(page, "phone-on-its-way")


def test_every_field_has_a_name_every_page_one_heading_and_all_text_can_be_read(
    gateway: Gateway, visit: Callable[..., Any]
) -> None:
    page = visit(gateway.customer("customer-careful"), viewport=DESK, color_scheme="dark")
    keep(page, "desk-dark")

    assert page.evaluate("document.querySelectorAll('h1').length") == 1
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate(
        "[...document.querySelectorAll('input:not([type=hidden])')].every(each => each.labels.length)"
    )
    assert page.evaluate(FAINT) == []


# Text whose contrast to what is behind it is below 4.5 (WCAG 2.2, 1.4.3).
FAINT = """
(() => {
  const rgb = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const linear = c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const behind = each => {
    for (; each; each = each.parentElement) {
      const color = rgb(getComputedStyle(each).backgroundColor);
      if (color.length && color[3] !== 0) return color;
    }
    return [255, 255, 255];
  };
  const contrast = each => {
    const [a, b] = [light(rgb(getComputedStyle(each).color)), light(behind(each))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  return [...document.querySelectorAll('p, label, span, strong, button, a, h1, h2')]
    .filter(each => each.textContent.trim() && each.offsetParent && contrast(each) < 4.5)
    .map(each => each.textContent.trim());
})()
"""
