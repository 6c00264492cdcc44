"""Where a tenant stands, what is wanted, and where that takes it. Meant to be read by people.

Every pair of a state and a wish has one line: where the tenant stands while something is left to do for the wish,
where it stands once nothing is, and why. `provisioning` and `resuming` are one place under two names: the first for
a tenant that never was active in this generation, the second for one that was.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.domain.model import State, Wanted


@dataclass(frozen=True, slots=True)
class Move:
    """Where a tenant stands while there is work left, where it stands when there is none, and why."""

    meanwhile: State
    in_the_end: State
    why: str


NEW, PROVISIONING, ACTIVE = State.NEW, State.PROVISIONING, State.ACTIVE
SUSPENDING, SUSPENDED, RESUMING = State.SUSPENDING, State.SUSPENDED, State.RESUMING
RELEASING, RELEASED = State.RELEASING, State.RELEASED

MOVES: dict[tuple[State, Wanted], Move] = {
    # Wanted active: get, or get back, whatever is missing.
    (NEW, Wanted.ACTIVE): Move(PROVISIONING, ACTIVE, "It is wanted for the first time, so it gets its number."),
    (PROVISIONING, Wanted.ACTIVE): Move(PROVISIONING, ACTIVE, "It is active once nothing is missing."),
    (ACTIVE, Wanted.ACTIVE): Move(RESUMING, ACTIVE, "It stays active; what went missing is put back."),
    (SUSPENDING, Wanted.ACTIVE): Move(RESUMING, ACTIVE, "It is wanted again before it was suspended."),
    (SUSPENDED, Wanted.ACTIVE): Move(RESUMING, ACTIVE, "It is wanted again and kept its number."),
    (RESUMING, Wanted.ACTIVE): Move(RESUMING, ACTIVE, "It is active again once nothing is missing."),
    (RELEASING, Wanted.ACTIVE): Move(RESUMING, ACTIVE, "It is wanted again before its number was given back."),
    (RELEASED, Wanted.ACTIVE): Move(PROVISIONING, PROVISIONING, "It is wanted again, so it gets a number anew."),
    # Wanted suspended: keep what is held, let no call reach the assistant, make nothing new.
    (NEW, Wanted.SUSPENDED): Move(SUSPENDING, SUSPENDED, "It is suspended before it was ever provisioned."),
    (PROVISIONING, Wanted.SUSPENDED): Move(SUSPENDING, SUSPENDED, "Provisioning stops; what is in doubt is settled."),
    (ACTIVE, Wanted.SUSPENDED): Move(SUSPENDING, SUSPENDED, "It keeps its number, and calls no longer get through."),
    (SUSPENDING, Wanted.SUSPENDED): Move(SUSPENDING, SUSPENDED, "It is suspended once no call gets through."),
    (SUSPENDED, Wanted.SUSPENDED): Move(SUSPENDING, SUSPENDED, "It stays suspended; what slipped is put right."),
    (RESUMING, Wanted.SUSPENDED): Move(SUSPENDING, SUSPENDED, "It is no longer wanted active before it resumed."),
    (RELEASING, Wanted.SUSPENDED): Move(SUSPENDING, SUSPENDED, "Giving back stops; what is still held is kept."),
    (RELEASED, Wanted.SUSPENDED): Move(RELEASED, RELEASED, "Its number is given back: nothing is left to suspend."),
    # Wanted released: give everything back, and say so only when it is proved.
    (NEW, Wanted.RELEASED): Move(RELEASING, RELEASED, "It ended before anything was made for it."),
    (PROVISIONING, Wanted.RELEASED): Move(RELEASING, RELEASED, "It ended while provisioning; all of it is undone."),
    (ACTIVE, Wanted.RELEASED): Move(RELEASING, RELEASED, "It ended and its waiting time is over."),
    (SUSPENDING, Wanted.RELEASED): Move(RELEASING, RELEASED, "It ended and its waiting time is over."),
    (SUSPENDED, Wanted.RELEASED): Move(RELEASING, RELEASED, "It ended and its waiting time is over."),
    (RESUMING, Wanted.RELEASED): Move(RELEASING, RELEASED, "It ended while resuming; all of it is undone."),
    (RELEASING, Wanted.RELEASED): Move(RELEASING, RELEASED, "It is released once everything is proved gone."),
    (RELEASED, Wanted.RELEASED): Move(RELEASING, RELEASED, "It stays released; what still turns up is given back."),
    # Wanted nothing: nobody has said anything that makes or undoes anything. What is held stays as it is; where
    # nothing is held, it is as if nothing had been.
    (NEW, Wanted.NOTHING): Move(NEW, NEW, "Nothing is wanted yet."),
    (PROVISIONING, Wanted.NOTHING): Move(PROVISIONING, NEW, "Nothing is wanted any more."),
    (ACTIVE, Wanted.NOTHING): Move(ACTIVE, NEW, "No record says that anything should change."),
    (SUSPENDING, Wanted.NOTHING): Move(SUSPENDING, NEW, "Nobody suspends it any more, and nothing is wanted yet."),
    (SUSPENDED, Wanted.NOTHING): Move(SUSPENDED, NEW, "Nobody suspends it any more, and nothing is wanted yet."),
    (RESUMING, Wanted.NOTHING): Move(RESUMING, NEW, "Nothing is wanted any more."),
    (RELEASING, Wanted.NOTHING): Move(RELEASING, NEW, "Nobody releases it any more, and nothing is wanted yet."),
    (RELEASED, Wanted.NOTHING): Move(RELEASED, NEW, "Nobody releases it any more, and nothing is wanted yet."),
}


def next_state(state: State, wanted: Wanted, is_complete: bool, *, was_released: bool = False) -> State:
    """Where a tenant stands now.

    is_complete: nothing is left to do for what is wanted; for `nothing`, that nothing is held or undecided.
    was_released: this generation's number was given back, and that is proved: such a tenant is never `new` again.
    From `released` to `provisioning` the caller raises the generation.
    """
    move = MOVES[state, wanted]
    found = move.in_the_end if is_complete else move.meanwhile
    return RELEASED if found is NEW and was_released else found


def why(state: State, wanted: Wanted) -> str:
    """The same in a sentence."""
    return MOVES[state, wanted].why
