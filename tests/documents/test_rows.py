"""The table of rows is held to the documents on one side and to the tests on the other."""

import ast
from pathlib import Path

import pytest

from tests.documents.rows import OPS, PAGE, REF, ROWS, Row, page, prose

ROOT = Path(__file__).parents[2]
LATER = frozenset({"trust"})
"""Parts of the product that are not there yet (their own issues)."""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.document}:{row.id}")
def test_each_row_of_the_documents_has_its_test(row: Row) -> None:
    """What a document shows and nobody tries is a promise that nobody keeps."""
    assert [bool(row.test), bool(row.waits), bool(row.outside)].count(True) == 1
    assert not row.waits or row.waits in LATER
    if row.test:
        file, _, function = row.test.partition("::")
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert function in names, f"{file} has no test {function}"


def test_no_two_rows_share_a_name_or_a_line() -> None:
    """A row that is counted twice hides one that is not counted."""
    assert len({(row.document, row.id) for row in ROWS}) == len(ROWS)
    taken = [(row.document, number) for row in ROWS for number in range(row.first, row.last + 1)]
    assert len(set(taken)) == len(taken)


@pytest.mark.parametrize(("document", "prefixes"), [(OPS, ("curl ", "  -", "    ", "{", "}")), (REF, ("{", "}", "  "))])
def test_no_code_is_taken_for_prose(document: str, prefixes: tuple[str, ...]) -> None:
    """A code block that no row covers would be missed silently."""
    numbered = ("  1. ", "  2. ", "  3. ", "  4. ", "  • ")
    code = [line for line in prose(document) if line.partition(": ")[2].startswith(prefixes)]
    assert [line for line in code if not line.partition(": ")[2].startswith(numbered)] == []


def test_the_page_is_that_of_the_table() -> None:
    """Regenerate with `python -m tests.documents.rows`."""
    assert PAGE.read_text("utf-8") == page()
