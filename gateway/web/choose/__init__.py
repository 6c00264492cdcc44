"""`/choose/<signed link>`: the page on which the tenant's own customer picks a number.

Whoever has the link may choose, and needs nothing else: no account, no cookie, no JavaScript. `desk.py` asks the
gateway, `words.py` says how things stand, templates show it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, jsonify, make_response, redirect, render_template, request

from gateway.domain.options import ADDRESS_NAMES
from gateway.errors import ChoiceRefused, ProviderError, TryLater
from gateway.flow.choice import Choosing
from gateway.flow.choice_links import LinkExpired
from gateway.flow.offers import Offer
from gateway.web.choose import words
from gateway.web.choose.brand import Brand
from gateway.web.choose.desk import SEARCH_FIELDS, Desk
from gateway.web.choose.searches import TooManySearches

log = logging.getLogger("gateway.web")

PAGE_SIZE = 10
BUSY_SECONDS = 30
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
    '<rect width="16" height="16" rx="4" fill="{color}"/></svg>'
)
ASSETS = {"choose.css": "text/css; charset=utf-8", "choose.js": "text/javascript; charset=utf-8"}


def blueprint(desk: Callable[[], Desk | None], brand: Callable[[], Brand]) -> Blueprint:
    """The page's routes, below `/choose/`. desk, brand: asked when a request comes."""
    pages = Blueprint("choose", __name__, url_prefix="/choose", template_folder="templates", static_folder=None)
    page = Page(desk, brand)
    pages.add_url_rule("/assets/<name>", view_func=page.asset, endpoint="asset", methods=["GET"])
    pages.add_url_rule("/<token>", view_func=page.show, endpoint="show", methods=["GET"])
    pages.add_url_rule("/<token>", view_func=page.choose, endpoint="choose", methods=["POST"])
    pages.add_url_rule("/<token>/progress", view_func=page.progress, endpoint="progress", methods=["GET"])
    pages.after_request(page.add_policy)
    return pages


class Page:
    def __init__(self, desk: Callable[[], Desk | None], brand: Callable[[], Brand]) -> None:
        self._asked_desk = desk
        self._brand = brand

    def _desk(self) -> Desk:
        """Of a link that could be read, so there is one."""
        desk = self._asked_desk()
        assert desk is not None
        return desk

    # --- views -------------------------------------------------------------------------------------------------------

    def show(self, token: str) -> Response:
        """The numbers, or how far the chosen one is."""
        choosing = self._choosing(token)
        if isinstance(choosing, Response):
            return choosing
        if words.is_inactive(choosing):
            return self._sorry("Nothing to choose", words.NOT_ACTIVE, 200)
        wants_list = choosing.is_asked or (choosing.may_choose and "again" in request.args)
        if not wants_list:
            return self._render("progress.html", progress=words.progress_of(choosing), token=token)
        return self._numbers(token, choosing)

    def choose(self, token: str) -> Response:
        """A click on a number, or the address that it needs."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            text = "Please open your link again and choose there."
            return self._sorry("That did not come from this page", text, 403)
        choosing = self._choosing(token)
        if isinstance(choosing, Response):
            return choosing
        number = request.form.get("number", "")[:20].replace(" ", "+", 1)
        try:
            offer = self._desk().offer_of(choosing, number)
        except (TooManySearches, ProviderError) as error:
            return self._trouble(error)
        if offer is None and choosing.may_choose and number != choosing.number:
            return self._numbers(token, choosing, notice=GONE, status=409)
        return self._hold(token, choosing, offer or as_chosen(choosing, number))

    def progress(self, token: str) -> Response:
        """For the script that keeps the page up to date."""
        choosing = self._choosing(token)
        if isinstance(choosing, Response):
            return make_response(jsonify(ended=True), choosing.status_code)
        told = words.progress_of(choosing)
        return jsonify(
            ended=choosing.is_asked or words.is_inactive(choosing) or told.needs_address,
            done=told.is_done,
            text=told.text,
            steps=[is_done for _, is_done in told.steps],
        )

    def asset(self, name: str) -> Response:
        if name == "brand.css":
            brand = self._brand()
            text = f":root {{ --brand: {brand.color}; --ink: {brand.ink}; }}\n"
            return Response(text, content_type="text/css; charset=utf-8")
        if name == "icon.svg":
            return Response(ICON.format(color=self._brand().color), content_type="image/svg+xml")
        if name not in ASSETS:
            return self._sorry("There is nothing here", "Please open the link that you were sent.", 404)
        response = Response(render_template(f"choose/{name}"), content_type=ASSETS[name])
        response.headers["Cache-Control"] = "public, max-age=3600"
        return response

    # --- what they share ---------------------------------------------------------------------------------------------

    def _choosing(self, token: str) -> Choosing | Response:
        """Where the link's tenant stands, or the page that says why it cannot be told."""
        desk = self._asked_desk()
        try:
            link = desk.read(token) if desk is not None else None
        except LinkExpired:
            return self._sorry("This link has ended", "Please ask whoever sent it for a new one.", 410)
        if desk is None or link is None:
            text = "Please open the link exactly as you were sent it, or ask for a new one."
            return self._sorry("This link does not work", text, 404)
        choosing = desk.choosing(link)
        if choosing is None:
            return self._sorry("This link has ended", "It belongs to an earlier order. Please ask for a new one.", 410)
        return choosing

    def _numbers(self, token: str, choosing: Choosing, notice: str | None = None, status: int = 200) -> Response:
        asked = {name: request.args[name][:100] for name in SEARCH_FIELDS if name in request.args}
        try:
            found = self._desk().find(choosing, asked)
        except (TooManySearches, ProviderError) as error:
            return self._trouble(error)
        page = page_of(request.args.get("page", ""))
        shown = found.offers[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
        values = {name: asked.get(name, getattr(found.wish, name) or "") for name in SEARCH_FIELDS}
        return self._render(
            "numbers.html",
            status=422 if found.wrong else status,
            token=token,
            notice=notice or words.notice_of(choosing),
            offers=shown,
            values=values,
            wrong=found.wrong,
            has_area_codes=found.wish.country in words.COUNTRIES_WITH_AREA_CODES,
            page=page,
            has_more=len(found.offers) > page * PAGE_SIZE,
            query={name: text for name, text in asked.items() if text},
            may_go_back=choosing.number is not None,
        )

    def _hold(self, token: str, choosing: Choosing, offer: Offer) -> Response:
        """Hold the number; where it needs an address that nobody said yet, ask for that first."""
        address: dict[str, str] = {}
        if offer.address_requirements != "none":
            is_said = "street" in request.form
            said = request.form if is_said else choosing.words
            address = {name: said.get(name, "")[:500].strip() for name in ADDRESS_NAMES}
            wrong = self._desk().wrong_address(address)
            # What was said before did not do.
            if wrong or (not is_said and words.progress_of(choosing).needs_address):
                return self._ask_address(token, offer, address, wrong if is_said else {})
        try:
            self._desk().choose(choosing, offer, address)
        except ChoiceRefused as refused:
            return self._refused(token, choosing, refused)
        return redirect(f"/choose/{token}", 303)  # type: ignore[return-value]

    def _ask_address(self, token: str, offer: Offer, values: Mapping[str, str], wrong: Mapping[str, str]) -> Response:
        labels = [(name, *words.ADDRESS_LABELS[name]) for name in ADDRESS_NAMES]
        return self._render(
            "address.html", status=422 if wrong else 200, token=token, offer=offer, labels=labels, values=values,
            wrong=wrong, country=offer.country,
        )  # fmt: skip

    def _refused(self, token: str, choosing: Choosing, refused: ChoiceRefused) -> Response:
        if refused.reason == "gone":
            return self._numbers(token, choosing, notice=GONE, status=409)
        if refused.reason == "not_wanted":
            return self._sorry("Nothing to choose", words.NOT_ACTIVE, 409)
        return redirect(f"/choose/{token}", 303)  # type: ignore[return-value]

    def _trouble(self, error: Exception) -> Response:
        """A provider that cannot be asked now, or a customer who asked too often."""
        seconds, status = BUSY_SECONDS, 503
        text = "Numbers cannot be looked up at the moment. Nothing is lost. Please try again in a minute."
        if isinstance(error, TooManySearches):
            seconds, status = error.retry_after_seconds, 429
            text = "That were many searches. Please wait a few minutes before the next one."
        elif isinstance(error, TryLater) and error.retry_after_seconds:
            seconds = max(1, round(error.retry_after_seconds))
        log.warning("choose.put_off", extra={"fields": {"status": status, "reason": str(error)}})
        response = self._sorry("One moment, please", text, status)
        response.headers["Retry-After"] = str(seconds)
        return response

    def _sorry(self, title: str, text: str, status: int) -> Response:
        return sorry(self._brand(), title, text, status)

    def _render(self, template: str, status: int = 200, **values: Any) -> Response:
        return make_response(render_template(f"choose/{template}", brand=self._brand(), **values), status)

    def add_policy(self, response: Response) -> Response:
        return with_policy(response, self._brand())


def sorry(brand: Brand, title: str, text: str, status: int) -> Response:
    """A page of one sentence."""
    page = render_template("choose/sorry.html", brand=brand, title=title, text=text)
    return with_policy(make_response(page, status), brand)


def with_policy(response: Response, brand: Brand) -> Response:
    """Everything comes from here, but for the logo of the owner."""
    images = " ".join(filter(None, ("'self'", brand.logo_origin)))
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src {images}; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def page_of(text: str) -> int:
    """The page that was asked for; the first where that makes no sense."""
    return int(text) if re.fullmatch("[1-9][0-9]?", text) else 1


GONE = "Somebody else was quicker: that number is not free any more. Please choose another one."


def as_chosen(choosing: Choosing, number: str) -> Offer:
    """The number this tenant is committed to already: not for sale to others, and still to be said yes to."""
    said = choosing.words
    country, number_type = said.get("country", ""), said.get("number_type", "local")
    is_address_wanted = words.progress_of(choosing).needs_address
    return Offer(number, number, None, None, country, number_type, {}, "any" if is_address_wanted else "none")
