"""A customer picks their own number: on the page, held at once, bought once, and told how far it is."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest
from werkzeug.test import TestResponse

from gateway.domain.model import Blocked, Hold, State
from gateway.errors import ChoiceRefused
from gateway.flow.choice import Choice, choose_for
from gateway.flow.choice_links import make_link
from gateway.store.database import in_transaction
from gateway.web import create_app
from gateway.web.process import web_parts
from tests.stories.sandbox import Sandbox

HOUR_MS = 3_600_000
ADDRESS = {
    "company_name": "Sunny Garage",
    "street": "1 Long Street",
    "city": "Cape Town",
    "region": "Western Cape",
    "postal_code": "8001",
}


def keys_of(sandbox: Sandbox) -> list[str]:
    return [str(key) for key in sandbox.settings.web.secret_keys]


def link_of(sandbox: Sandbox, key: str = "acme", hours: float = 1) -> str:
    tenant = sandbox.tenant(key)
    expires_at_ms = sandbox.clock.at_ms + round(hours * HOUR_MS)
    return make_link(keys_of(sandbox), "", tenant.tenant_key, tenant.generation, expires_at_ms)


class Visitor:
    """Whoever has the link, with a browser that knows no JavaScript."""

    def __init__(self, sandbox: Sandbox, key: str = "acme", hours: float = 1) -> None:
        self.client = create_app(web_parts(sandbox.gateway)).test_client()
        self.link = link_of(sandbox, key, hours)

    def look(self, query: str = "") -> TestResponse:
        return self.client.get(self.link + query)

    def choose(self, number: str, **fields: str) -> TestResponse:
        return self.client.post(self.link, data={"number": number, **fields})


def numbers_on(page: TestResponse) -> list[str]:
    return re.findall(r'name="number" value="([^"]+)"', page.text)


@pytest.fixture
def asked(sandbox: Sandbox) -> Sandbox:
    """acme has paid and wants to choose."""
    sandbox.deliver("checkout.completed", set={"metadata.choose": "yes"})
    sandbox.settle(60)
    assert sandbox.tenant().block is not None
    return sandbox


def hold(sandbox: Sandbox, number: str, key: str = "acme", generation: int | None = None) -> None:
    tenant = sandbox.tenant(key)
    choice = Choice(number, "US", "local")
    in_transaction(
        sandbox.database,
        lambda tx: choose_for(
            tx, tenant.id, generation or tenant.generation, choice, sandbox.gateway.rules, sandbox.clock.at_ms
        ),
    )


# --- from the link to the number -------------------------------------------------------------------------------------


def test_a_number_clicked_on_the_page_becomes_the_tenants_working_number(asked: Sandbox) -> None:
    visitor = Visitor(asked)
    offered = numbers_on(visitor.look())

    answer = visitor.choose(offered[0])
    asked.settle(600)

    assert (answer.status_code, answer.headers["Location"]) == (303, visitor.link)
    assert asked.tenant().state is State.ACTIVE
    assert asked.export()["phone_number"] == offered[0]
    assert len(asked.purchases()) == 1
    ready = visitor.look()
    assert "Call your number now" in ready.text
    assert f'href="tel:{offered[0]}"' in ready.text


def test_until_the_customer_has_chosen_nothing_is_bought(asked: Sandbox) -> None:
    asked.wait(days=1)

    assert asked.tenant().block is not None
    assert asked.export()["blocked"] == Blocked.AWAITING_CHOICE
    assert asked.purchases() == []


def test_the_page_says_how_far_it_is_and_a_script_can_ask(asked: Sandbox) -> None:
    visitor = Visitor(asked)
    visitor.choose(numbers_on(visitor.look())[0])

    waiting = visitor.look()
    told = visitor.client.get(f"{visitor.link}/progress").json

    assert "Your number is on its way" in waiting.text
    assert '<meta http-equiv="refresh"' in waiting.text
    assert told == {
        "ended": False,
        "done": False,
        "text": "Getting your number ready. This page goes on by itself.",
        "steps": [False, False, False],
    }


def test_a_second_click_on_the_same_number_changes_nothing(asked: Sandbox) -> None:
    visitor = Visitor(asked)
    number = numbers_on(visitor.look())[0]

    answers = [visitor.choose(number).status_code for _ in range(3)]
    asked.settle(600)
    late = visitor.choose(number).status_code

    assert [*answers, late] == [303] * 4
    assert len(asked.purchases()) == 1


def test_another_number_may_be_chosen_until_the_first_was_sent_for(asked: Sandbox) -> None:
    visitor = Visitor(asked)
    first, second, third = numbers_on(visitor.look())[:3]

    visitor.choose(first)
    visitor.choose(second)
    asked.settle(600)
    late = visitor.choose(third)

    assert late.status_code == 303
    assert asked.export()["phone_number"] == second
    assert len(asked.purchases()) == 1


# --- two who want the same -------------------------------------------------------------------------------------------


def test_of_two_customers_who_choose_one_number_at_once_one_gets_it_and_the_other_is_asked_again(
    asked: Sandbox,
) -> None:
    asked.deliver("checkout.completed", "beta", set={"metadata.choose": "yes"})
    asked.settle(60)
    number = numbers_on(Visitor(asked).look())[0]
    ended: dict[str, Any] = {}
    start = threading.Barrier(2)

    def click(key: str) -> None:
        start.wait()
        try:
            hold(asked, number, key)
            ended[key] = "held"
        except ChoiceRefused as refused:
            ended[key] = refused.reason

    both = [threading.Thread(target=click, args=(key,)) for key in ("acme", "beta")]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    asked.settle(600)

    assert sorted(ended.values()) == ["gone", "held"]
    assert [bought["number"] for bought in asked.purchases()] == [number]
    loser = next(key for key, how in ended.items() if how == "gone")
    assert asked.export(loser)["blocked"] == Blocked.AWAITING_CHOICE
    again = Visitor(asked, loser)
    other = numbers_on(again.look())[0]
    assert other != number
    again.choose(other)
    asked.settle(600)
    assert asked.export(loser)["phone_number"] == other


def test_who_comes_second_sees_other_numbers_and_why(asked: Sandbox) -> None:
    asked.deliver("checkout.completed", "beta", set={"metadata.choose": "yes"})
    asked.settle(60)
    first, second = Visitor(asked), Visitor(asked, "beta")
    number = numbers_on(second.look())[0]
    hold(asked, number)

    answer = second.choose(number)

    assert first.look().status_code == 200
    assert answer.status_code == 409
    assert "not free any more" in answer.text
    assert numbers_on(answer)
    assert number not in numbers_on(answer)


def test_a_number_that_was_taken_at_the_telephone_company_meanwhile_is_said_and_others_are_shown(
    asked: Sandbox,
) -> None:
    visitor = Visitor(asked)
    number = numbers_on(visitor.look())[0]
    asked.fault("twilio.buy", "taken")

    visitor.choose(number)
    asked.settle(600)
    page = visitor.look()

    assert asked.export()["blocked"] == Blocked.NUMBER_TAKEN
    assert "taken by somebody else" in page.text
    assert number not in numbers_on(page)
    visitor.choose(numbers_on(page)[0])
    asked.settle(600)
    assert asked.tenant().state is State.ACTIVE
    assert len(asked.numbers()) == 1


# --- whose word counts -----------------------------------------------------------------------------------------------


def test_an_operators_number_beats_the_customers_choice(asked: Sandbox) -> None:
    visitor = Visitor(asked)
    chosen, said = numbers_on(visitor.look())[:2]
    asked.operate("set", {"phone_number": said})

    answer = visitor.choose(chosen)
    asked.settle(600)

    assert answer.status_code == 303
    assert asked.export()["phone_number"] == said


def test_a_number_that_was_never_offered_is_not_taken(asked: Sandbox) -> None:
    visitor = Visitor(asked)
    visitor.look()

    for number in ("+442071838750", "+15005550006", "nonsense", "", "+1415555'; drop table tenants"):
        assert visitor.choose(number).status_code == 409

    asked.settle(60)
    assert asked.purchases() == []


def test_a_customer_who_comes_back_after_the_number_was_given_back_chooses_anew(asked: Sandbox) -> None:
    visitor = Visitor(asked, hours=100)
    visitor.choose(numbers_on(visitor.look())[0])
    asked.settle(600)
    asked.operate("hold", Hold.RELEASE)
    asked.wait(days=1)
    assert asked.tenant().state is State.RELEASED

    asked.operate("hold", None)
    asked.settle(600)

    assert asked.tenant().generation == 2
    assert asked.export()["blocked"] == Blocked.AWAITING_CHOICE
    assert len(asked.purchases()) == 1
    old = visitor.look()
    assert (old.status_code, "earlier order" in old.text) == (410, True)


def test_who_is_not_active_has_nothing_to_choose(asked: Sandbox) -> None:
    visitor = Visitor(asked)
    number = numbers_on(visitor.look())[0]
    asked.operate("hold", Hold.SUSPEND)

    page, answer = visitor.look(), visitor.choose(number)

    assert "not active" in page.text
    assert answer.status_code == 409
    asked.settle(60)
    assert asked.purchases() == []


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.fixture
def abroad(sandbox: Sandbox) -> Sandbox:
    sandbox.deliver("checkout.completed", set={"metadata.choose": "yes", "metadata.country": "ZA"})
    sandbox.settle(60)
    return sandbox


def test_an_address_is_asked_for_only_where_the_number_needs_one(asked: Sandbox, abroad: Sandbox) -> None:
    visitor = Visitor(abroad)
    number = numbers_on(visitor.look())[0]

    form = visitor.choose(number)

    assert form.status_code == 200
    assert 'name="street"' in form.text
    assert "needs your address" in visitor.look().text
    assert abroad.purchases() == []


def test_a_field_that_was_left_empty_is_named_and_what_was_typed_stays(abroad: Sandbox) -> None:
    visitor = Visitor(abroad)
    number = numbers_on(visitor.look())[0]

    form = visitor.choose(number, **{**ADDRESS, "city": " ", "street": '1 <b>"Long"</b> Street'})

    assert form.status_code == 422
    assert 'id="city-wrong"' in form.text
    assert "1 &lt;b&gt;&#34;Long&#34;&lt;/b&gt; Street" in form.text
    assert "<b>" not in form.text


# --- looking for numbers ---------------------------------------------------------------------------------------------


def test_a_search_shows_numbers_of_that_area_and_leads_to_more_of_them(asked: Sandbox) -> None:
    visitor = Visitor(asked)

    first = visitor.look("?area_code=212")
    second = visitor.look("?area_code=212&page=2")

    both = numbers_on(first) + numbers_on(second)
    assert all(number.startswith("+1212") for number in both)
    assert len(set(both)) == len(both) == 20
    assert "More numbers" in first.text
    assert "Earlier numbers" in second.text


def test_a_search_that_makes_no_sense_says_so_at_its_field(asked: Sandbox) -> None:
    page = Visitor(asked).look("?area_code=<script>")

    assert page.status_code == 422
    assert 'id="area_code-wrong"' in page.text
    assert "<script>" not in page.text.replace("<script src", "")


@pytest.mark.parametrize("page", ["0", "-1", "x", "100000000000000000000", "²"])
def test_a_page_that_makes_no_sense_is_the_first(asked: Sandbox, page: str) -> None:
    assert numbers_on(Visitor(asked).look(f"?page={page}"))


def test_looking_again_within_a_moment_costs_no_call(asked: Sandbox) -> None:
    visitor = Visitor(asked)
    visitor.look()
    before = asked.calls("twilio.search")

    visitor.look()
    visitor.look("?page=2")

    assert asked.calls("twilio.search") == before


def test_too_many_searches_are_put_off_for_this_link_alone(asked: Sandbox) -> None:
    asked.deliver("checkout.completed", "beta", set={"metadata.choose": "yes"})
    asked.settle(60)
    visitor = Visitor(asked)

    answers = [visitor.look(f"?contains={n:02}") for n in range(31)]

    assert [answer.status_code for answer in answers] == [200] * 30 + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert Visitor(asked, "beta").look().status_code == 200


@pytest.mark.parametrize("kind", ["error_before", "rate_limit", "html", "lost_before"])
def test_while_numbers_cannot_be_looked_up_the_page_says_so_and_asks_for_patience(asked: Sandbox, kind: str) -> None:
    asked.fault("twilio.search", kind)

    answer = Visitor(asked).look()

    assert answer.status_code == 503
    assert "Nothing is lost" in answer.text
    assert int(answer.headers["Retry-After"]) > 0


# --- who may ---------------------------------------------------------------------------------------------------------


def test_a_link_ends(asked: Sandbox) -> None:
    visitor = Visitor(asked)
    number = numbers_on(visitor.look())[0]
    asked.clock.at_ms += HOUR_MS

    page, answer = visitor.look(), visitor.choose(number)

    assert (page.status_code, answer.status_code) == (410, 410)
    assert "ask whoever sent it" in page.text


def test_a_link_that_was_changed_in_any_place_opens_nothing(asked: Sandbox) -> None:
    visitor = Visitor(asked)
    token = visitor.link.removeprefix("/choose/")

    for index, letter in enumerate(token):
        forged = token[:index] + ("A" if letter != "A" else "B") + token[index + 1 :]
        answer = visitor.client.get(f"/choose/{forged}")
        if index < len(token) - 1:
            assert answer.status_code == 404, forged


def test_a_link_signed_by_another_key_opens_nothing_and_one_of_an_older_key_still_does(asked: Sandbox) -> None:
    visitor = Visitor(asked)
    tenant = asked.tenant()
    until = asked.clock.at_ms + HOUR_MS
    foreign = make_link(["somebody-elses-key"], "", tenant.tenant_key, 1, until)
    desk = web_parts(asked.gateway).desk
    assert desk is not None
    desk._secret_keys = ["a-newer-key-of-ours", *keys_of(asked)]

    assert visitor.client.get(foreign).status_code == 404
    assert desk.read(visitor.link.removeprefix("/choose/")) is not None
    newer = make_link(desk._secret_keys, "", tenant.tenant_key, 1, until)
    assert desk.read(newer.removeprefix("/choose/")) is not None
    assert visitor.client.get(newer).status_code == 404


def test_a_link_of_nobody_and_one_of_somebody_say_the_same(asked: Sandbox) -> None:
    visitor = Visitor(asked)
    nobody = make_link(keys_of(asked), "", "nobody", 1, asked.clock.at_ms + HOUR_MS)
    later = make_link(keys_of(asked), "", "acme", 7, asked.clock.at_ms + HOUR_MS)

    answers = [visitor.client.get(link) for link in (nobody, later)]

    assert [answer.status_code for answer in answers] == [410, 410]
    assert answers[0].text == answers[1].text


def test_a_form_on_somebody_elses_site_chooses_nothing(asked: Sandbox) -> None:
    visitor = Visitor(asked)
    number = numbers_on(visitor.look())[0]

    for site in ("cross-site", "same-site"):
        answer = visitor.client.post(visitor.link, data={"number": number}, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 403

    asked.settle(60)
    assert asked.purchases() == []


def test_every_page_forbids_scripts_frames_and_being_kept(asked: Sandbox) -> None:
    visitor = Visitor(asked)

    for answer in (visitor.look(), visitor.client.get("/choose/nothing"), visitor.client.put(visitor.link)):
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.content_type.startswith("text/html")


def test_other_methods_are_refused_and_a_head_has_no_body(asked: Sandbox) -> None:
    visitor = Visitor(asked)

    refused = [visitor.client.open(visitor.link, method=method) for method in ("PUT", "DELETE", "PATCH", "OPTIONS")]

    assert [answer.status_code for answer in refused] == [405] * 4
    assert visitor.client.head(visitor.link).data == b""
