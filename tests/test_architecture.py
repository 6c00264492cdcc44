"""The layers of the program, read from its imports: look down, never up or sideways."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted([*(ROOT / "gateway").rglob("*.py"), ROOT / "app.py"])
NAMES = [str(file.relative_to(ROOT)) for file in FILES if file.exists()]
MOST_LINES = 400

# Files longer than this rule wants, each with its reason.
LONG_FILES: dict[str, str] = {}

# From the top to the bottom. A module may import what stands below its own line, and its own folder.
LAYERS = (
    ("__main__",),
    ("web", "cli", "provisioner", "testing", "client"),
    ("provisioning",),
    ("wiring",),
    ("vendors",),
    ("scheduler", "simulator"),
    ("flow",),
    ("steps",),
    ("store", "integrations"),
    ("ports",),
    ("domain",),
    ("logs", "display"),
    ("settings",),
    ("errors",),
)
DEPTH = {name: depth for depth, names in enumerate(LAYERS) for name in names}
WAYS_IN = {"web", "cli", "provisioner", "testing", "client"}
CLOCK = re.compile(
    r"(time\.(time|time_ns|localtime|gmtime|monotonic|monotonic_ns|perf_counter)|datetime\.(now|utcnow|today)|date\.today)"
)
WALL_CLOCK = re.compile(r"(time\.(time|time_ns|localtime|gmtime)|datetime\.(now|utcnow|today)|date\.today)")
PRETEND = re.compile(r"simulator(_\w+)?")


def tree(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"), filename=name)


def module_of(name: str) -> str:
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def part(module: str) -> str:
    """`gateway.store.inbox` is in `store`; the package itself and app.py are nowhere."""
    names = module.split(".")
    return names[1] if names[0] == "gateway" and len(names) > 1 else ""


def is_module(dotted: str) -> bool:
    path = ROOT / dotted.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").exists()


def imports(name: str) -> Iterator[tuple[int, str]]:
    """Every module a file imports, with its line; inside functions and TYPE_CHECKING too."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno} imports relatively: name the module in full"
            base = node.module or ""
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield node.lineno, full if base.startswith("gateway") and is_module(full) else base


def ours(name: str) -> Iterator[tuple[int, str]]:
    return ((line, module) for line, module in imports(name) if module.split(".")[0] == "gateway")


def is_pretend(module: str) -> bool:
    """A pretend service: the world, or a `simulator.py` beside a client."""
    names = module.split(".")
    return part(module) == "simulator" or (part(module) == "integrations" and bool(PRETEND.fullmatch(names[-1])))


def report(found: list[str]) -> None:
    assert not found, "\n" + "\n".join(found)


def test_every_module_has_its_place_in_the_layers() -> None:
    places = {part(module_of(name)) for name in NAMES} - {""}

    assert places <= set(DEPTH), f"{places - set(DEPTH)} stands in no layer"


@pytest.mark.parametrize("name", NAMES)
def test_modules_look_down_never_up_or_sideways(name: str) -> None:
    own = part(module_of(name))
    found = []
    for line, module in ours(name):
        other = part(module)
        if not other or other == own:
            continue
        goes_down = DEPTH[other] > DEPTH.get(own, -1)
        if name.startswith("gateway/cli/") and module == "gateway.web.server":
            # The one step sideways: a command starts the server.
            goes_down = True
        if own == "domain" and other != "errors":
            goes_down = False
        if own in WAYS_IN and other in {"domain", "ports", "errors"}:
            goes_down = True
        if not goes_down:
            found.append(f"{name}:{line} imports {module}: {own or 'the program'} may not look at {other}")
    report(found)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("gateway/domain/")])
def test_the_domain_imports_the_standard_library_and_errors_only(name: str) -> None:
    report(
        [
            f"{name}:{line} imports {module}"
            for line, module in imports(name)
            if module.split(".")[0] not in {*sys.stdlib_module_names, "gateway"}
        ]
    )


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith(("gateway/steps/", "gateway/flow/"))])
def test_steps_and_flow_know_the_outside_through_ports_only(name: str) -> None:
    report([f"{name}:{line} imports {module}" for line, module in ours(name) if part(module) == "integrations"])


@pytest.mark.parametrize("name", NAMES)
def test_only_vendors_picks_a_client_and_no_vendor_knows_another(name: str) -> None:
    own = module_of(name)
    found = []
    for line, module in ours(name):
        names = module.split(".")
        if names[:2] != ["gateway", "integrations"] or len(names) < 3 or not (ROOT / "/".join(names[:3])).is_dir():
            continue
        same_vendor = own.split(".")[:3] == names[:3]
        if same_vendor or part(own) == "vendors" or own == "gateway.integrations":
            continue
        if is_pretend(module) and part(own) in {"simulator", "testing"}:
            continue
        found.append(f"{name}:{line} imports {module}: only vendors.py picks implementations")
    report(found)


@pytest.mark.parametrize("name", NAMES)
def test_a_pretend_service_shares_no_code_with_the_client_that_it_checks(name: str) -> None:
    own = module_of(name)
    found = []
    for line, module in ours(name):
        if is_pretend(own) and part(module) == "integrations" and not is_pretend(module):
            found.append(f"{name}:{line} imports {module}: a mistake in it would agree with itself")
        if part(own) == "integrations" and is_pretend(module) and not is_pretend(own):
            found.append(f"{name}:{line} imports {module}: a real service never imports a pretend one")
    report(found)


@pytest.mark.parametrize("name", NAMES)
def test_only_the_world_and_the_test_kit_import_a_pretend_service(name: str) -> None:
    own = module_of(name)
    if is_pretend(own) or part(own) == "testing":
        return
    found = []
    for line, module in ours(name):
        # `wiring` and the commands of the sandbox start the world and ask it.
        may_start = part(own) in {"wiring", "cli"} and part(module) == "simulator"
        if is_pretend(module) and not may_start:
            found.append(f"{name}:{line} imports {module}")
    report(found)


def dotted(node: ast.AST) -> str:
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        names.append(node.id)
    return ".".join(reversed(names))


def uses(name: str) -> Iterator[tuple[int, str]]:
    """Every dotted name a file uses, `from x import y` spelt out."""
    module = tree(name)
    known = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute | ast.Name):
            text = dotted(node)
            first, _, rest = text.partition(".")
            yield getattr(node, "lineno", 0), f"{known.get(first, first)}{'.' + rest if rest else ''}"


@pytest.mark.parametrize("name", NAMES)
def test_only_settings_reads_the_environment(name: str) -> None:
    if name == "gateway/settings/__init__.py":
        return
    report(
        [
            f"{name}:{line} uses {used}"
            for line, used in uses(name)
            if used.startswith(("os.environ", "os.getenv", "os.putenv", "os.environb"))
        ]
    )


# A process of its own, like a way in: it keeps the pretend world's time, and waits for one to start.
KEEPS_TIME = ("gateway/wiring.py", "gateway/web/", "gateway/cli/", "gateway/simulator/")
# The log's own time stamps come with the records.


@pytest.mark.parametrize("name", NAMES)
def test_only_the_ways_in_and_wiring_read_the_clock(name: str) -> None:
    if name.startswith(KEEPS_TIME):
        return
    report(
        [
            f"{name}:{line} reads {used}: be handed `now`"
            for line, used in uses(name)
            if re.search(rf"(^|\.){WALL_CLOCK.pattern}$", used)
        ]
    )


@pytest.mark.parametrize(
    "name", [name for name in NAMES if name.startswith(("gateway/domain/", "gateway/steps/", "gateway/flow/"))]
)
def test_rules_steps_and_flow_ask_nobody_but_the_clock_they_were_given(name: str) -> None:
    report(
        [
            f"{name}:{line} reads {used}"
            for line, used in uses(name)
            if re.search(rf"(^|\.){CLOCK.pattern}$", used) and not used.endswith("clock.monotonic")
        ]
    )


DATABASE_FILE = "gateway/store/sqlite.py"
EVERYTHING = sorted(
    str(file.relative_to(ROOT)) for folder in ("gateway", "tests", "bench") for file in (ROOT / folder).rglob("*.py")
)


@pytest.mark.parametrize("name", [name for name in EVERYTHING if "/peers/" not in name])
def test_one_file_names_the_sqlite_module_and_through_sqlite_utils(name: str) -> None:
    found = []
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found += [f"{name}:{node.lineno}" for alias in node.names if re.match(r"(py)?sqlite3\b", alias.name)]
        elif isinstance(node, ast.ImportFrom):
            is_direct = bool(re.match(r"(py)?sqlite3\b", node.module or ""))
            # Tests and benchmarks may look at a database of their own, with the library that sqlite-utils picked.
            may_pick = name == DATABASE_FILE or not name.startswith("gateway/")
            is_picked = any(alias.name == "sqlite3" for alias in node.names) and not may_pick
            found += [f"{name}:{node.lineno}"] if is_direct or is_picked else []
    report([f"{place}: two SQLite libraries in one process lose committed rows" for place in found])


SQL = re.compile(
    r"\b(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|CREATE\s+(TABLE|INDEX)|PRAGMA)\b", re.S
)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("gateway/store/")])
def test_sql_stands_in_the_store_only(name: str) -> None:
    found = []
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.search(node.value):
            found.append(f"{name}:{node.lineno} holds SQL")
    report(found)


def test_files_hold_one_noun_each() -> None:
    lengths = {name: len((ROOT / name).read_text(encoding="utf-8").splitlines()) for name in NAMES}

    too_long = {name: lines for name, lines in lengths.items() if lines > MOST_LINES and name not in LONG_FILES}

    assert not too_long, f"longer than {MOST_LINES} lines, so they hold two nouns or need a reason: {too_long}"
    assert all(lengths.get(name, 0) > MOST_LINES for name in LONG_FILES), "a reason that is no longer needed"


@pytest.mark.parametrize("name", NAMES)
def test_no_file_is_a_place_for_odds_and_ends(name: str) -> None:
    assert not {"utils", "helpers", "manager", "common", "misc"} & set(re.split(r"[/._]", name))


def test_what_the_program_imports_production_installs() -> None:
    listed = {
        re.split(r"[=;\[ ]", line)[0].lower().replace("_", "-")
        for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    }
    providers = packages_distributions()
    found = []
    for name in NAMES:
        for line, module in imports(name):
            top = module.split(".")[0]
            # The test kit says by itself what it needs besides.
            is_kits = top in {"pytest", "responses"} and name.startswith("gateway/testing/")
            if top in sys.stdlib_module_names or top in {"gateway", "app"} or is_kits:
                continue
            names = {each.lower().replace("_", "-") for each in providers.get(top, [top])}
            if not names & listed:
                found.append(f"{name}:{line} imports {top}, which requirements.txt does not have")
    report(found)


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned(file: str) -> None:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()

    loose = [line for line in lines if line and not line.startswith(("#", "-r ")) and "==" not in line.split(";")[0]]

    assert not loose
