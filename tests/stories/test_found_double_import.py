"""What chaos found about two entries for one number."""

from __future__ import annotations

import pytest

from tests.stories.sandbox import Sandbox


@pytest.mark.parametrize("policy", [True, False], ids=["clears the voice URL", "leaves it"])
def test_after_a_double_import_was_removed_the_numbers_calls_still_arrive(sandbox: Sandbox, policy: bool) -> None:
    sandbox.world.set_policies({"import_twice": "allow", "delete_clears_voice_url": policy})
    sandbox.fault("vapi.import", "twice")

    sandbox.deliver("checkout.completed")
    sandbox.settle(2 * 3600)
    sandbox.wait(seconds=3600)
    sandbox.reconcile_and_settle()

    tenant = sandbox.export()
    assert (tenant["state"], tenant["blocked"]) == ("active", None), sandbox.timeline()
    assert [entry["id"] for entry in sandbox.entries()] == [tenant["vapi_id"]]
    assert "vapi.ai" in sandbox.numbers()[0]["voice_url"]


def test_imports_that_made_nothing_do_not_keep_a_number_from_being_imported_anew(sandbox: Sandbox) -> None:
    sandbox.world.set_policies({"import_twice": "allow", "delete_clears_voice_url": True})
    sandbox.fault("vapi.import", "rate_limit", times=3)
    sandbox.fault("vapi.import", "twice")

    sandbox.deliver("checkout.completed")
    sandbox.settle(2 * 3600)
    sandbox.reconcile_and_settle()

    assert (sandbox.export()["state"], sandbox.export()["blocked"]) == ("active", None), sandbox.timeline()
    assert "vapi.ai" in sandbox.numbers()[0]["voice_url"]
