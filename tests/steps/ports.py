"""A provider that answers one verb in another way than the pretend world can."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.stories.sandbox import Sandbox


class Changed:
    """A port of which some verbs are other ones."""

    def __init__(self, port: Any, **verbs: Callable[..., Any]) -> None:
        self._port = port
        self._verbs = verbs

    def __getattr__(self, name: str) -> Any:
        return self._verbs.get(name) or getattr(self._port, name)


def change(sandbox: Sandbox, port: str, **verbs: Callable[..., Any]) -> None:
    """From now on this sandbox's gateway meets these verbs."""
    steps = sandbox.gateway.steps
    changed = Changed(getattr(steps, port), **verbs)
    sandbox.gateway = replace(sandbox.gateway, steps=replace(steps, **{port: changed}))  # type: ignore[arg-type]


def raising(error: Exception, times: int = 1, then: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """A verb that raises so many times; afterwards it is `then`, where that is given."""
    left = [times]

    def verb(*given: Any, **named: Any) -> Any:
        if left[0] > 0 or then is None:
            left[0] -= 1
            raise error
        return then(*given, **named)

    return verb
