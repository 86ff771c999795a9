"""The document says what the code does."""

import jsonschema
import pytest

from gateway.api.app import RestApp
from gateway.api.openapi import openapi
from gateway.api.operation import OperationRoute
from tests.api.house import bare_app


@pytest.fixture(scope="module")
def app() -> RestApp:
    return bare_app()


def operations(document: dict) -> dict[tuple[str, str], dict]:
    return {
        (method.upper(), path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def test_every_route_is_in_the_document_once(app: RestApp) -> None:
    """And none that does not exist."""
    found = operations(openapi(app.routes))
    routes = {
        (route.operation.method, route.path): route
        for route in app.routes
        if isinstance(route, OperationRoute) and not route.operation.hidden
    }
    assert set(found) == set(routes)
    names = [operation["operationId"] for operation in found.values()]
    assert len(set(names)) == len(names)


def test_every_operation_says_who_may_call_it_and_which_errors_it_answers(app: RestApp) -> None:
    """Each error too (issue 3): status, shape and code."""
    for (method, path), operation in operations(openapi(app.routes)).items():
        statuses = set(operation["responses"])
        assert operation["summary"], path
        assert "422" not in statuses
        if operation["security"]:
            assert {"401", "403", "429", "500", "503"} <= statuses, path
            assert "x-intended-scope" in operation
        if "requestBody" in operation:
            assert {"400", "413", "415"} <= statuses, path
        if "{" in path:
            assert "404" in statuses, path
        for status, response in operation["responses"].items():
            assert response["content"], (method, path, status)
            for kind, content in response["content"].items():
                assert kind == "application/json" or status == "200", (method, path, status)
                assert content["schema"], (method, path, status)


def test_every_reference_leads_somewhere(app: RestApp) -> None:
    """A dangling one makes the document useless to a generator."""
    document = openapi(app.routes)

    def walk(node: object) -> None:
        if isinstance(node, dict):
            reference = node.get("$ref")
            if isinstance(reference, str):
                found: object = document
                for step in reference.removeprefix("#/").split("/"):
                    found = found[step]  # type: ignore[index]
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(document)


def test_every_example_is_one(app: RestApp) -> None:
    """Whoever copies it must not be refused."""
    document = openapi(app.routes)
    schemas = document["components"]["schemas"]
    checked = 0
    for name, schema in schemas.items():
        for example in schema.get("examples", []):
            jsonschema.validate(example, {"$ref": f"#/components/schemas/{name}", "components": document["components"]})
            checked += 1
    assert checked >= 10


def test_every_parameter_of_a_path_is_described(app: RestApp) -> None:
    """A document without them is not valid OpenAPI."""
    document = openapi(app.routes)
    shared = document["components"]["parameters"]
    for (_, path), operation in operations(document).items():
        given = [
            one if "name" in one else shared[one["$ref"].rpartition("/")[2]] for one in operation.get("parameters", [])
        ]
        named = {one["name"] for one in given if one["in"] == "path"}
        assert named == {part.split("}")[0] for part in path.split("{")[1:]}, path
