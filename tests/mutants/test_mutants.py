"""The tests are tested: each wrong line that would break a promise turns the story that guards it red.

A mutant is a copy of the package with one text replaced. Its stories run there in a process of their own; on an
unchanged copy the same stories are green.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STORIES = "tests/mutants/test_guarantees.py"
TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Mutant:
    """What is wrong in it: in `path`, each of `changes` (old text, new text). story: the test that must turn red."""

    name: str
    path: str
    changes: tuple[tuple[str, str], ...]
    story: str


MUTANTS = (
    Mutant(
        "acknowledge before commit",
        "gateway/flow/receive.py",
        (
            (
                "        writer.submit(incoming, finished)\n",
                "        finished(Receipt(accepted=rows, duplicates=0, conflicts=0))\n"
                "        writer.submit(incoming, lambda result: None)\n",
            ),
        ),
        "test_nothing_is_acknowledged_while_its_commit_has_not_come",
    ),
    Mutant(
        "no intent committed before the POST",
        "gateway/steps/context.py",
        (
            ("            attempt = self.commit(begin)\n            started", "            started"),
            ("        return Effect(", "            attempt = self.commit(begin)\n        return Effect("),
        ),
        "test_a_crash_in_a_purchase_that_no_list_shows_yet_leads_to_no_other_number",
    ),
    Mutant(
        "fence ignored",
        "gateway/store/leases.py",
        (
            (
                '"SELECT * FROM tenants WHERE id = :id AND fence = :fence /*lock*/", id=tenant_id, fence=fence',
                '"SELECT * FROM tenants WHERE id = :id /*lock*/", id=tenant_id',
            ),
        ),
        "test_a_worker_that_lost_its_lease_in_a_call_stores_nothing_of_what_it_learns",
    ),
    Mutant(
        "look by tag, then buy another",
        "gateway/steps/buy_number.py",
        (
            (
                "    return absent_so_far(ctx, intent, posts, looked_at_ms)\n",
                '    return refuse(ctx, intent, "it is not there", Blocked.NUMBER_TAKEN, posts)\n',
            ),
        ),
        "test_a_number_that_no_list_shows_yet_is_not_replaced_by_another",
    ),
    Mutant(
        "automatic HTTP retries on",
        "gateway/integrations/http.py",
        (
            (
                "        except requests.exceptions.RequestException as exc:\n            return _foreign(exc)\n",
                "        except requests.exceptions.RequestException:\n"
                "            return self._attempt(request, limit)\n",
            ),
        ),
        "test_a_request_without_a_clear_answer_is_not_sent_again_before_a_look",
    ),
    Mutant(
        "release without comparing tag and number",
        "gateway/steps/release_number.py",
        (("    if (there.number, there.tag) != (intent.number, intent.tag):\n", "    if there.number is None:\n"),),
        "test_a_number_that_is_somebody_elses_by_now_is_not_given_back",
    ),
    Mutant(
        "an answer of one POST taken for an earlier one",
        "gateway/steps/buy_number.py",
        (
            (
                "        others = attempts.open_for_number(tx, intent.number, BUY, besides=effect.attempt.id)\n",
                "        others: list[Attempt] = []\n",
            ),
        ),
        "test_a_refused_repeat_does_not_speak_for_the_post_before_it",
    ),
    Mutant(
        "a first POST without the look by number",
        "gateway/steps/buy_number.py",
        (
            ("    if there is None:\n        return None\n    if there.tag", "    return None\n    if there.tag"),
        ),
        "test_a_number_of_somebody_else_in_the_account_is_not_taken_by_buying_it",
    ),
    Mutant(
        "absence proved by a look that started too early",
        "gateway/steps/buy_number.py",
        (
            (
                "    posts = ctx.read_one(lambda tx: attempts.open_for_number(tx, intent.number, BUY))\n"
                "    if there is not None and there.tag",
                "    posts = ctx.read_one(lambda tx: attempts.open_for_number(tx, intent.number, BUY))\n"
                "    looked_at_ms = ctx.now_ms()\n"
                "    if there is not None and there.tag",
            ),
        ),
        "test_a_look_that_began_before_the_settle_time_proves_nothing",
    ),
    Mutant(
        "settle time counted from the beginning of a POST",
        "gateway/steps/buy_number.py",
        (("post.deadline_at_ms for post in posts", "post.began_at_ms for post in posts"),),
        "test_a_purchase_that_lands_the_settle_time_after_its_deadline_is_not_left_over",
    ),
    Mutant(
        "no second look at an entry that a call in doubt may still change",
        "gateway/steps/entry_records.py",
        (
            (
                "    doubt_at_ms = attempts.last_unclear_end_at_ms(tx, ctx.tenant, AT_ASSISTANTS)\n",
                "    doubt_at_ms: int | None = None\n",
            ),
        ),
        "test_a_removal_that_lands_after_the_customer_came_back_is_noticed_and_put_right",
    ),
)  # fmt: skip


def copied(folder: Path) -> Path:
    """The package and its tests in a folder of their own, as pytest runs them."""
    for name in ("gateway", "migrations"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    (folder / "tests").symlink_to(ROOT / "tests")
    return folder


def run(folder: Path, selection: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder)]
    return subprocess.run(
        [*command, f"{STORIES}{selection}"], cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
    )


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_line_turns_its_story_red(mutant: Mutant, tmp_path: Path) -> None:
    place = copied(tmp_path) / mutant.path
    text = place.read_text()
    for old, new in mutant.changes:
        assert text.count(old) == 1, f"the code has changed: this mutant replaces {old!r} in {mutant.path}"
        text = text.replace(old, new)
    place.write_text(text)

    ended = run(tmp_path, f"::{mutant.story}")

    assert f"FAILED {STORIES}::{mutant.story}" in ended.stdout, ended.stdout + ended.stderr


def test_on_an_unchanged_copy_every_story_is_green(tmp_path: Path) -> None:
    ended = run(copied(tmp_path), "")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert all(mutant.story in (ROOT / STORIES).read_text() for mutant in MUTANTS)
