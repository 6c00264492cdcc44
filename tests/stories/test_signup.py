from __future__ import annotations

from tests.stories.sandbox import Sandbox


def test_a_paid_signup_becomes_one_active_number(sandbox: Sandbox) -> None:
    sandbox.deliver("checkout.completed")

    sandbox.settle(60)

    tenant = sandbox.export()
    assert tenant["state"] == "active"
    assert [number["phone_number"] for number in sandbox.numbers()] == [tenant["phone_number"]]
    assert [entry["number"] for entry in sandbox.entries()] == [tenant["phone_number"]]
    assert len(sandbox.purchases()) == 1
