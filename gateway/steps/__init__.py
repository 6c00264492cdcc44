"""What we do for a tenant, in words no vendor owns: for each step look, make, undo. The order is data, in `ORDER`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.domain.model import Step, Verb
from gateway.steps import assign_assistant, buy_number, import_number, release_number, take_over_number
from gateway.steps.context import Context, Outcome

Action = Callable[[Context], Outcome]

STEPS: Mapping[Step, Mapping[Verb, Action]] = {
    Step.BUY_NUMBER: {
        Verb.LOOK: buy_number.look,
        Verb.MAKE: take_over_number.make,
        Verb.UNDO: release_number.undo,
    },
    Step.IMPORT_NUMBER: {
        Verb.LOOK: import_number.look,
        Verb.MAKE: import_number.make,
        Verb.UNDO: import_number.undo,
    },
    Step.ASSIGN_ASSISTANT: {
        Verb.LOOK: assign_assistant.look,
        Verb.MAKE: assign_assistant.make,
    },
}
