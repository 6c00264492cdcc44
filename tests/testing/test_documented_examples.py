"""The examples of docs/testing.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)


@pytest.mark.parametrize("index", range(len(EXAMPLES)))
def test_an_example_runs(index: int) -> None:
    exec(compile(EXAMPLES[index], f"docs/testing.md, example {index + 1}", "exec"), {})


def test_there_are_examples_of_all_sizes() -> None:
    assert len(EXAMPLES) == 4
