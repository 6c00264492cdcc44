"""Numbers by hand: bought as spare stock or for a tenant, given, and given back; killed at every call on the way."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from gateway.domain import keys
from gateway.domain.model import Extent, Hold, State, Step
from gateway.errors import InHand, OperatorError, WrongUse
from gateway.flow import account, stock
from gateway.flow.account import Whose
from gateway.flow.at_once import Ended, Patience, Worked
from gateway.flow.operate import Operator
from tests.chaos.judge import judge, read_scene
from tests.stories.sandbox import Crash, Sandbox

ANN = Operator("ann", "a story")


def patience(sandbox: Sandbox, seconds: float = 30) -> Patience:
    """Waiting moves the clock."""

    def pause(pause_seconds: float) -> None:
        sandbox.clock.at_ms += int(pause_seconds * 1000)

    return Patience(int(seconds * 1000), pause)


def buy_spare(sandbox: Sandbox, number: str, seconds: float = 30) -> stock.Buying:
    return stock.buy_spare(sandbox.gateway.steps, number, {}, ANN, patience(sandbox, seconds))


def buy_for(sandbox: Sandbox, key: str = "acme", seconds: float = 60, **words: str) -> Worked:
    return stock.buy_for(sandbox.gateway.steps, key, words, ANN, patience(sandbox, seconds))


def bought_again_after_a_crash(sandbox: Sandbox, number: str) -> stock.Buying:
    """The process is gone, its lease runs out, and somebody asks again and has the time to wait for a proof."""
    sandbox.world.crash_plan = None
    sandbox.restart()
    sandbox.clock.at_ms += 61_000
    return buy_spare(sandbox, number, seconds=3600)


# --- spare stock -----------------------------------------------------------------------------------------------------


def test_a_spare_number_is_held_under_a_tag_made_from_the_number(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()

    bought = buy_spare(sandbox, number)

    (there,) = sandbox.numbers()
    assert (bought.ended, bought.number, bought.sid) == (Ended.DONE, number, there["sid"])
    assert there["tag"] == keys.tag("dev", f"spare:{number}", 1)
    assert sandbox.tenant(f"spare:{number}").state is State.ACTIVE
    assert sandbox.export(f"spare:{number}")["phone_number"] == number


def test_a_spare_number_is_neither_imported_nor_announced(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()

    buy_spare(sandbox, number)
    sandbox.settle()

    assert sandbox.entries() == []
    assert sandbox.query(lambda tx: tx.all("SELECT * FROM outbox")) == []
    assert sandbox.reconcile().drifts == ()


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(("operation", "nth"), [("twilio.list", 1), ("twilio.list", 3), ("twilio.buy", 1)])
def test_asked_again_after_a_crash_it_is_the_same_number_bought_once(
    sandbox: Sandbox, operation: str, nth: int, before: bool
) -> None:
    number = sandbox.for_sale()
    sandbox.crash_at(operation, before=before, nth=nth)
    with pytest.raises(Crash):
        buy_spare(sandbox, number)

    bought = bought_again_after_a_crash(sandbox, number)

    assert (bought.ended, bought.number) == (Ended.DONE, number)
    assert [each["number"] for each in sandbox.purchases()] == [number]
    assert broken_promises(sandbox) == []


def test_a_lost_answer_is_proved_within_the_same_call(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()
    sandbox.fault("twilio.buy", "lost_after")

    assert buy_spare(sandbox, number).ended is Ended.DONE
    assert len(sandbox.purchases()) == 1


def test_a_purchase_in_doubt_is_undecided_and_goes_on_when_asked_again(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()
    sandbox.fault("twilio.buy", "lost_before", times=3)

    first = buy_spare(sandbox, number, seconds=0)
    later = buy_spare(sandbox, number, seconds=3600)

    assert first.ended is Ended.UNDECIDED
    assert "not clear" in first.says
    assert later.ended is Ended.DONE
    assert len(sandbox.purchases()) == 1


def test_buying_what_is_held_buys_nothing(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()
    first = buy_spare(sandbox, number)

    assert buy_spare(sandbox, number).sid == first.sid
    assert len(sandbox.purchases()) == 1


def test_a_number_that_cannot_be_had_is_given_up_at_once(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()
    sandbox.fault("twilio.buy", "taken")

    bought = buy_spare(sandbox, number, seconds=120)
    sandbox.settle()

    assert (bought.ended, bought.is_taken) == (Ended.BLOCKED, True)
    assert bought.says == f"{number} cannot be bought: somebody else has it. Nothing was bought."
    assert sandbox.tenant(f"spare:{number}").state is State.RELEASED
    assert sandbox.purchases() == []


def test_the_caps_hold_for_numbers_by_hand(capped: Sandbox) -> None:
    said = [buy_spare(capped, capped.for_sale()) for _ in range(3)]

    assert [each.ended for each in said] == [Ended.DONE, Ended.DONE, Ended.BLOCKED]
    assert "MAX_PURCHASES_PER_HOUR is 2" in said[2].says
    assert "spare:" not in said[2].says


def test_a_wish_goes_on_with_its_unfinished_purchase(sandbox: Sandbox) -> None:
    sandbox.crash_at("twilio.buy", before=False)
    with pytest.raises(Crash):
        stock.buy_some(sandbox.gateway.steps, {"area_code": "406"}, ANN, patience(sandbox))
    sandbox.world.crash_plan = None
    sandbox.restart()
    sandbox.clock.at_ms += 61_000

    bought = stock.buy_some(sandbox.gateway.steps, {"area_code": "406"}, ANN, patience(sandbox))

    assert bought.ended is Ended.DONE
    assert [each["number"] for each in sandbox.purchases()] == [bought.number]


def test_a_wish_tries_the_next_number_when_one_is_taken(sandbox: Sandbox) -> None:
    sandbox.fault("twilio.buy", "taken")

    bought = stock.buy_some(sandbox.gateway.steps, {"area_code": "406"}, ANN, patience(sandbox, 120))

    assert bought.ended is Ended.DONE
    assert len(sandbox.purchases()) == 1


def test_two_who_buy_the_same_number_at_once_buy_it_once(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()
    found: list[stock.Buying] = []
    sandbox.meanwhile("twilio.list", lambda: found.append(buy_spare(sandbox, number, seconds=1)))

    found.append(buy_spare(sandbox, number))

    assert len(sandbox.purchases()) == 1
    assert found[-1].ended is Ended.DONE
    assert found[0].ended is Ended.UNDECIDED


def test_a_worker_may_do_the_work_and_is_waited_for(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()
    sandbox.crash_at("twilio.list", before=True)
    with pytest.raises(Crash):
        buy_spare(sandbox, number)
    sandbox.world.crash_plan = None
    sandbox.restart()
    sandbox.clock.at_ms += 61_000
    claims = sandbox.claim("worker-1")
    worked = []

    def pause(seconds: float) -> None:
        sandbox.clock.at_ms += int(seconds * 1000)
        worked.append(seconds)
        if len(worked) == 3:
            sandbox.advance(claims)

    bought = stock.buy_spare(sandbox.gateway.steps, number, {}, ANN, Patience(30_000, pause))

    assert bought.ended is Ended.DONE
    assert len(worked) >= 3
    assert len(sandbox.purchases()) == 1


# --- giving back -----------------------------------------------------------------------------------------------------


def test_a_spare_number_is_given_back_and_may_be_asked_for_again(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()
    buy_spare(sandbox, number)

    given_back = stock.release(sandbox.gateway.steps, number, ANN, patience(sandbox))
    assert given_back.ended is Ended.UNDECIDED
    assert stock.is_given_back(sandbox.gateway.steps, given_back.standing)
    with pytest.raises(OperatorError, match="being given back"):
        buy_spare(sandbox, number)
    sandbox.settle()

    assert sandbox.numbers() == []
    assert sandbox.tenant(f"spare:{number}").state is State.RELEASED
    # Twilio keeps it to itself for a while; it would have been bought anew, under a new tag.
    assert buy_spare(sandbox, number).is_taken
    assert sandbox.export(f"spare:{number}")["friendly_names"][1:] == [keys.tag("dev", f"spare:{number}", 2)]


def test_a_tenants_number_is_given_back_by_its_sid(sandbox: Sandbox) -> None:
    buy_for(sandbox, area_code="415")

    stock.release(sandbox.gateway.steps, sandbox.export()["twilio_sid"], ANN, patience(sandbox))
    sandbox.settle()

    assert sandbox.tenant().hold is Hold.RELEASE
    assert sandbox.export()["state"] == "released"
    assert sandbox.numbers() == []
    assert broken_promises(sandbox) == []


def test_a_number_that_is_not_ours_is_not_given_back(sandbox: Sandbox) -> None:
    sandbox.world_call("POST", "numbers", {"phone_number": "+14155550100", "friendly_name": "shop"})
    sid = sandbox.numbers()[0]["sid"]

    with pytest.raises(OperatorError, match="no number that we hold"):
        stock.release(sandbox.gateway.steps, sid, ANN, patience(sandbox))
    assert len(sandbox.numbers()) == 1


def test_the_release_brake_holds_for_numbers_by_hand(sandbox: Sandbox) -> None:
    numbers = []
    for _ in range(6):
        numbers.append(sandbox.for_sale())
        buy_spare(sandbox, numbers[-1])

    ends = [stock.release(sandbox.gateway.steps, number, ANN, patience(sandbox)) for number in numbers]

    assert ends[-1].ended is Ended.BLOCKED
    assert "MAX_RELEASE_SHARE" in ends[-1].why
    assert len(sandbox.numbers()) == 1


# --- for a tenant ----------------------------------------------------------------------------------------------------


def test_a_number_bought_for_a_tenant_is_wired_like_a_signups(sandbox: Sandbox) -> None:
    worked = buy_for(sandbox, area_code="212")

    line = sandbox.export()
    assert worked.ended is Ended.DONE
    assert line["state"] == "active"
    assert line["phone_number"].startswith("+1212")
    assert line["vapi_id"] == sandbox.entries()[0]["id"]


def test_a_tenant_with_a_number_keeps_it(sandbox: Sandbox) -> None:
    buy_for(sandbox, area_code="212")
    kept = sandbox.export()["phone_number"]

    assert buy_for(sandbox, area_code="406").ended is Ended.DONE
    with pytest.raises(OperatorError, match="already"):
        buy_for(sandbox, phone_number=sandbox.for_sale("406"))

    assert sandbox.export()["phone_number"] == kept
    assert len(sandbox.purchases()) == 1


def test_another_tenants_number_is_not_bought_for_a_second(sandbox: Sandbox) -> None:
    buy_for(sandbox, area_code="212")

    with pytest.raises(OperatorError, match="is acme's"):
        buy_for(sandbox, "beta", phone_number=sandbox.export()["phone_number"])


def test_what_blocked_a_tenant_is_tried_again_with_the_words_said_now(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()
    sandbox.fault("twilio.buy", "taken")
    first = buy_for(sandbox, phone_number=number, seconds=120)

    second = buy_for(sandbox, area_code="406")

    assert first.ended is Ended.BLOCKED
    assert second.ended is Ended.DONE
    assert sandbox.export()["phone_number"].startswith("+1406")


def test_a_key_or_an_option_that_makes_no_sense_changes_nothing(sandbox: Sandbox) -> None:
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("spare:+14155550123", {}),
        ("acme", {"area_code": "x"}),
        ("acme", {"colour": "red"}),
    ]
    for key, words in wrong:
        with pytest.raises(WrongUse):
            buy_for(sandbox, key, **words)

    assert sandbox.query(lambda tx: tx.all("SELECT * FROM tenants")) == []


# --- a spare number becomes a tenant's -------------------------------------------------------------------------------


def give(sandbox: Sandbox, number: str, key: str = "acme") -> Worked:
    return buy_for(sandbox, key, phone_number=number)


def test_a_spare_number_becomes_a_tenants_without_a_purchase(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()
    sid = buy_spare(sandbox, number).sid

    worked = give(sandbox, number)
    sandbox.settle()

    line = sandbox.export()
    assert worked.ended is Ended.DONE
    assert (line["state"], line["phone_number"], line["twilio_sid"]) == ("active", number, sid)
    assert sandbox.numbers()[0]["tag"] == keys.tag("dev", "acme", 1)
    assert len(sandbox.purchases()) == 1
    assert sandbox.export(f"spare:{number}")["phone_number"] is None
    assert sandbox.tenant(f"spare:{number}").state is State.RELEASED
    sandbox.wait(seconds=3600)
    assert sandbox.reconcile().drifts == ()


CALLS = ["twilio.fetch", "twilio.update", "vapi.list", "vapi.import", "vapi.get", "vapi.assign"]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("operation", CALLS)
def test_a_crash_while_it_is_given_leaves_one_number_with_one_owner(
    sandbox: Sandbox, operation: str, nth: int, before: bool
) -> None:
    number = sandbox.for_sale()
    buy_spare(sandbox, number)
    sandbox.crash_at(operation, before=before, nth=sandbox.calls(operation) + nth)
    try:
        give(sandbox, number)
    except Crash:
        sandbox.restart()
    sandbox.world.crash_plan = None
    assert owners(sandbox) == ["acme"]

    sandbox.settle()

    assert owners(sandbox) == ["acme"]
    assert sandbox.export()["state"] == "active"
    assert [each["tag"] for each in sandbox.numbers()] == [keys.tag("dev", "acme", 1)]
    assert len(sandbox.entries()) == 1
    assert len(sandbox.purchases()) == 1
    assert broken_promises(sandbox) == []


def broken_promises(sandbox: Sandbox) -> list[str]:
    """What the judge of the chaos runs has to say."""

    def rows(sql: str, **params: object) -> list[dict[str, object]]:
        return [dict(row) for row in sandbox.query(lambda tx: tx.all(sql, **params))]

    log = sandbox.world_call("GET", "log")["entries"]
    scene = read_scene(rows, sandbox.world.state(), log, [], {})
    return [str(each) for each in judge(scene, {"numbers": [], "entries": []})]


def owners(sandbox: Sandbox) -> list[str]:
    rows = sandbox.query(
        lambda tx: tx.all(
            """SELECT t.tenant_key FROM holdings h JOIN tenants t ON t.id = h.tenant_id
               WHERE h.step = 'buy_number' AND h.held <> 'no'"""
        )
    )
    return [row["tenant_key"] for row in rows]


@pytest.mark.parametrize("kind", ["lost_before", "lost_after", "error_after"])
def test_a_lost_answer_to_the_new_name_is_no_trouble(sandbox: Sandbox, kind: str) -> None:
    number = sandbox.for_sale()
    buy_spare(sandbox, number)
    sandbox.fault("twilio.update", kind)

    assert give(sandbox, number).ended is Ended.DONE
    assert sandbox.numbers()[0]["tag"] == keys.tag("dev", "acme", 1)


def test_an_entry_that_a_spare_number_has_goes_with_it(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()
    buy_spare(sandbox, number)
    steps = sandbox.gateway.steps
    steps.commit(lambda tx: stock.want(tx, steps, f"spare:{number}", {}, ANN, Extent.ENTRY))
    sandbox.settle()
    (entry,) = sandbox.entries()
    assert "assistantId" not in entry

    give(sandbox, number)

    (kept,) = sandbox.entries()
    assert kept["id"] == entry["id"] == sandbox.export()["vapi_id"]
    assert kept["name"] == keys.tag("dev", "acme", 1)
    assert kept["assistantId"] == sandbox.gateway.rules.default_assistant_id


def test_a_spare_number_is_adopted_by_its_sid(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()
    sid = buy_spare(sandbox, number).sid
    assert sid is not None

    account.adopt(sandbox.gateway.steps, "acme", sid, ANN)
    sandbox.settle()

    assert sandbox.export()["twilio_sid"] == sid


def test_a_spare_number_in_doubt_or_on_its_way_out_is_not_given(sandbox: Sandbox) -> None:
    doubtful, leaving = sandbox.for_sale("415"), sandbox.for_sale("212")
    buy_spare(sandbox, leaving)
    stock.release(sandbox.gateway.steps, leaving, ANN, patience(sandbox))
    sandbox.fault("twilio.buy", "lost_before", times=3)
    buy_spare(sandbox, doubtful, seconds=0)

    with pytest.raises(OperatorError, match="not clear yet"):
        give(sandbox, doubtful)
    with pytest.raises(OperatorError, match="being given back"):
        give(sandbox, leaving)
    assert sandbox.query(lambda tx: tx.all("SELECT * FROM tenants WHERE tenant_key = 'acme'")) == []


def test_a_late_purchase_of_the_spare_number_does_not_keep_the_old_name(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()
    sandbox.fault("twilio.buy", "lost_after")
    sid = buy_spare(sandbox, number).sid
    assert sid is not None
    give(sandbox, number)

    # The request whose answer was lost is carried out once more by something on the way.
    sandbox.rename_number(sid, keys.tag("dev", f"spare:{number}", 1))
    sandbox.wait(seconds=1200)

    assert sandbox.numbers()[0]["tag"] == keys.tag("dev", "acme", 1)
    assert sandbox.tenant().block is None


def test_an_old_backup_lets_go_of_what_was_given_since(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()
    buy_spare(sandbox, number)
    backup = sandbox.back_up()
    give(sandbox, number)
    sandbox.put_back(backup)

    sandbox.reconcile_and_settle()

    assert owners(sandbox) == []
    assert buy_for(sandbox, area_code="415").ended is Ended.DONE
    assert sandbox.export()["phone_number"] == number
    assert len(sandbox.purchases()) == 1


# --- what there is ---------------------------------------------------------------------------------------------------


def test_every_number_is_listed_with_whose_it_is(sandbox: Sandbox) -> None:
    spare, shop = sandbox.for_sale("212"), "+14155550100"
    buy_spare(sandbox, spare)
    buy_for(sandbox, area_code="406")
    sandbox.world_call("POST", "numbers", {"phone_number": shop, "friendly_name": "shop"})

    found = {each.number: each for each in account.numbers(sandbox.gateway.steps)}

    acme = sandbox.export()
    assert {number: each.whose for number, each in found.items()} == {
        spare: Whose.SPARE,
        shop: Whose.FOREIGN,
        acme["phone_number"]: Whose.TENANT,
    }
    mine = found[acme["phone_number"]]
    assert (mine.tenant_key, mine.sid, mine.vapi_id) == ("acme", acme["twilio_sid"], acme["vapi_id"])
    assert found[shop].friendly_name == "shop"


def test_threads_that_buy_for_one_tenant_at_once_buy_once(sandbox: Sandbox) -> None:
    gate = threading.Barrier(3)

    def run() -> None:
        gate.wait()
        stock.buy_for(sandbox.gateway.steps, "acme", {"area_code": "415"}, ANN, Patience(60_000, lambda _: None))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sandbox.settle()

    assert len(sandbox.purchases()) == 1
    assert sandbox.held()[Step.BUY_NUMBER].ref == sandbox.numbers()[0]["sid"]


# --- what two hands do at once, and what comes later -----------------------------------------------------------------


def test_a_number_that_somebody_works_for_is_given_only_afterwards(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()
    buy_spare(sandbox, number)
    sandbox.operate("redo", key=f"spare:{number}")
    claims = sandbox.claim("worker-1")
    assert len(claims) == 1

    with pytest.raises(InHand):
        buy_for(sandbox, phone_number=number, seconds=1)
    assert owners(sandbox) == [f"spare:{number}"]
    sandbox.advance(claims)

    assert give(sandbox, number).ended is Ended.DONE


def test_two_wishes_at_once_are_two_numbers(sandbox: Sandbox) -> None:
    found: list[stock.Buying] = []
    steps, words = sandbox.gateway.steps, {"area_code": "406"}
    sandbox.meanwhile("twilio.buy", lambda: found.append(stock.buy_some(steps, words, ANN, patience(sandbox))))

    found.append(stock.buy_some(steps, words, ANN, patience(sandbox)))

    assert [each.ended for each in found] == [Ended.DONE, Ended.DONE]
    assert found[0].number != found[1].number
    assert len(sandbox.purchases()) == 2


def test_what_may_have_been_bought_is_never_given_up(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()
    sandbox.fault("twilio.buy", "lost_before", times=3)
    buy_spare(sandbox, number, seconds=0)
    steps, spare = sandbox.gateway.steps, sandbox.tenant(f"spare:{number}")

    assert steps.commit(lambda tx: stock.give_up(tx, steps, spare.id)) is False
    assert sandbox.tenant(f"spare:{number}").state is State.PROVISIONING


def test_a_signup_for_a_tenant_that_had_only_a_number_gets_it_all_of_it(sandbox: Sandbox) -> None:
    stock.buy_for(sandbox.gateway.steps, "acme", {}, ANN, patience(sandbox), Extent.NUMBER)
    sandbox.settle()
    assert sandbox.entries() == []

    sandbox.deliver("checkout.completed")
    sandbox.settle()

    assert sandbox.tenant().extent is Extent.FULL
    assert sandbox.entries()[0]["assistantId"] == sandbox.gateway.rules.default_assistant_id


def test_an_assistant_set_by_hand_on_a_spare_entry_is_left_alone(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()
    buy_spare(sandbox, number)
    steps = sandbox.gateway.steps
    steps.commit(lambda tx: stock.want(tx, steps, f"spare:{number}", {}, ANN, Extent.ENTRY))
    sandbox.settle()
    assistant = sandbox.gateway.rules.default_assistant_id
    sandbox.change_entry(sandbox.entries()[0]["id"], assistantId=assistant)
    before = sandbox.calls("vapi.assign")

    sandbox.operate("redo", key=f"spare:{number}")
    sandbox.settle()
    sandbox.wait(seconds=3600)

    assert sandbox.reconcile().drifts == ()
    assert sandbox.entries()[0]["assistantId"] == assistant
    assert sandbox.calls("vapi.assign") == before
    assert sandbox.tenant(f"spare:{number}").state is State.ACTIVE


def test_a_number_that_was_given_is_spare_again_only_under_a_new_tag(sandbox: Sandbox) -> None:
    number = sandbox.for_sale()
    buy_spare(sandbox, number)
    give(sandbox, number)
    stock.release(sandbox.gateway.steps, number, ANN, patience(sandbox))
    sandbox.settle()
    assert sandbox.tenant().state is State.RELEASED

    buy_spare(sandbox, number)

    assert sandbox.tenant(f"spare:{number}").generation == 2
