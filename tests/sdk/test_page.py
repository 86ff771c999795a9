"""docs/sdk.md and the README's lines say what the client does."""

import ast
import dataclasses
import inspect
import re
from pathlib import Path

from intended import Decision, IntendedClient
from tests.documents.live import Service
from tests.documents.test_python import FIVE_LINES, run

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sdk.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")


def blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def column(heading: str, place: int) -> set[str]:
    """Return the names in code of one column of the table below a heading."""
    table = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| ") and "---" not in line]
    return {name for row in rows for name in re.findall(r"`([a-z_]+)`", row[place])}


def test_the_first_lines_of_page_and_readme_run_as_written(service: Service, tmp_path: Path) -> None:
    """Only the key is the reader's own."""
    key = service.keys["tenant-a", "operator"]
    assert run(tmp_path, blocks(PAGE)[0].replace("mrt_live_...", key), service) == ["token True"]
    [line] = run(tmp_path, blocks(README)[0].replace("intendedops_default_...", key), service)
    assert line in {"ALLOW", "DENY", "ESCALATE"}


def test_the_other_lines_are_the_ones_that_are_tested() -> None:
    """The gateway's five lines in `tests/documents`, the guards' in `tests/clients/test_frameworks.py`."""
    *guards, gateway = blocks(PAGE)[1:]
    assert gateway.strip() == FIVE_LINES.strip()
    assert len(guards) == 2
    for lines in guards:
        ast.parse(lines)


def test_every_method_has_its_row() -> None:
    """A method that no page names is found by nobody."""
    public = {name for name, _ in inspect.getmembers(IntendedClient, inspect.isfunction) if not name.startswith("_")}
    assert column("Every method", 2) == public


def test_every_attribute_of_a_decision_has_its_row() -> None:
    """The type is what a program reads."""
    assert column("A decision", 1) == {field.name for field in dataclasses.fields(Decision)}
