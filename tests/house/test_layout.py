"""The rooms of the house: each module has its test beside it, none grows without bound, no machine shows."""

import ast
import os
import subprocess
import sys
from pathlib import Path

from tests.house.documents import ROOT

LINES = 500
"""Above that a second reason to change has moved in (style, "Rules of thumb")."""

TABLES = frozenset({"gateway/core/intent/taxonomy_data.py"})
"""Data, not code: may be as long as it is."""

TEST_TABLES = frozenset({"tests/upstream/misbehaving.py"})
"""The same for tests: each way in which an upstream can misbehave."""

LARGE: dict[str, int] = {}
"""Modules that are larger, with the length they may have. May only shrink."""

WITHOUT_TWIN = frozenset(
    {
        "gateway/core/audit/entry.py",
        "gateway/core/decision.py",
        "gateway/core/facts.py",
        "gateway/core/jsonvalue.py",
        "gateway/core/policy/model.py",
        "gateway/core/principal.py",
        "gateway/ports/mcp.py",
        "gateway/ports/records.py",
        "gateway/ports/spans.py",
        "gateway/ports/store.py",
        "gateway/ports/world.py",
    }
)
"""Modules that only declare values or protocols: there is nothing in them to test. May only shrink."""


def modules() -> list[Path]:
    return [path.relative_to(ROOT) for package in ("gateway", "intended") for path in (ROOT / package).rglob("*.py")]


def twin(module: Path) -> Path:
    parts = module.parts[1:] if module.parts[0] == "gateway" else module.parts
    return Path("tests", *parts[:-1], f"test_{parts[-1]}")


def test_each_module_has_its_test_where_one_looks_for_it() -> None:
    """`gateway/x/y.py` has `tests/x/test_y.py`."""
    ours = [path for path in modules() if not path.name.startswith("__")]
    missing = {str(path) for path in ours if not (ROOT / twin(path)).exists()}
    assert missing == WITHOUT_TWIN


def test_whatever_takes_every_exception_says_why() -> None:
    """In one line, at the place: what is caught so broadly may hide what nobody foresaw."""
    found = [
        f"{path}:{number}"
        for path in modules()
        for number, line in enumerate((ROOT / path).read_text().splitlines(), start=1)
        if "except Exception" in line and len(line.partition("#")[2].removeprefix(" noqa: BLE001 - ").split()) < 3
    ]
    assert found == []


def test_no_module_outgrows_its_reader() -> None:
    """Length is the first sign of a second reason to change."""
    long = {
        str(path): lines
        for path in modules()
        if (lines := len((ROOT / path).read_text().splitlines())) > LARGE.get(str(path), LINES)
        and str(path) not in TABLES
    }
    assert long == {}
    shrunk = {name: limit for name, limit in LARGE.items() if len((ROOT / name).read_text().splitlines()) <= LINES}
    assert shrunk == {}, "take these out of LARGE"


def test_no_test_module_outgrows_its_reader() -> None:
    """Who adds a test must see which are there. `test_y.py` is split by subject into `test_y_SUBJECT.py` beside it."""
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / "tests").rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > LINES
    }
    assert set(long) == TEST_TABLES, long


def test_a_constant_is_given_its_value_once() -> None:
    """The second of two replaces the first without a word: a bound then holds for what it was not made for."""
    found = []
    for path in modules():
        once: set[str] = set()
        for line in ast.parse((ROOT / path).read_text()).body:
            targets = line.targets if isinstance(line, ast.Assign) else []
            targets += [line.target] if isinstance(line, ast.AnnAssign) else []
            names = [one.id for one in targets if isinstance(one, ast.Name)]
            found += [f"{path}:{line.lineno} {name}" for name in names if name in once]
            once.update(names)
    assert found == []


def test_every_package_says_what_it_is() -> None:
    """The first line of a package is the first thing that a newcomer reads."""
    silent = [
        str(path)
        for path in modules()
        if path.name == "__init__.py" and not (ROOT / path).read_text().startswith('"""')
    ]
    assert silent == []


def test_no_file_names_the_machine_that_it_was_written_on() -> None:
    """A path that exists on one machine only is a step that fails on every other."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    files = [ROOT / name.decode() for name in tracked if name]
    here = (os.fsencode(ROOT), os.fsencode(sys.prefix))
    found = [
        str(file.relative_to(ROOT))
        for file in files
        if file.is_file() and any(place in file.read_bytes() for place in here)
    ]
    assert found == []
