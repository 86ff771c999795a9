"""The documents of the REST API say what the code does."""

from tests.house.api_page import PAGE, about, api_page, document, document_text
from tests.house.documents import ROOT


def test_the_committed_document_is_the_code_s() -> None:
    """Regenerate with `python -m tests.house.documents`."""
    assert (ROOT / "docs/openapi.json").read_text() == document_text()


def test_the_tables_of_routes_and_fields_are_the_code_s() -> None:
    """Regenerate with `python -m tests.house.documents`."""
    assert PAGE.read_text() == api_page()


def test_the_page_has_every_field_of_every_endpoint() -> None:
    """Contract, section 2: a page in the docs holds a table of fields for each endpoint; the tests read it."""
    page = PAGE.read_text()
    for path, item in document()["paths"].items():
        for method in item:
            assert f"`{method.upper()} {path.removeprefix('/v1')}`" in page or f"`{method.upper()} {path}`" in page


def test_every_field_that_does_not_explain_itself_is_explained() -> None:
    """A member of a request without a word is a guess for its reader."""
    spec = document()
    bodies = {
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for item in spec["paths"].values()
        for operation in item.values()
        if "requestBody" in operation
    }
    silent = [
        f"{name}.{field}"
        for name in sorted(bodies)
        for field, schema in spec["components"]["schemas"][name]["properties"].items()
        if not about(schema)
    ]
    assert silent == []
