"""Requests made of the service's own document, for the tests that hold its answers to it.

schemathesis makes them, good and bad, and holds each answer to what is promised there.
"""

import copy
from typing import Any

import hypothesis
import requests
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.api.openapi import openapi
from tests.api.house import bare_app
from tests.api.live import TENANT, Service

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

PLAIN = hypothesis.settings(
    max_examples=20, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
)

HEADERS = tuple({"$ref": f"#/components/parameters/{name}"} for name in ("tenantHeader", "ifMatch"))
"""What they do is tested elsewhere; here nearly each of their values would be one more 403 or 400."""

OUTWARD = tuple(
    (f"{prefix}{path}", method)
    for prefix in ("", "/v1")
    for path, method in (("/webhooks", "post"), ("/webhooks/{id}", "patch"))
)
"""They make the gateway send to addresses that are made up here; tests stay on loopback."""

KNOWN = "x-known"
"""Stands in the document for the id of something that exists; only the running service knows it."""


def document(*, every: bool) -> dict[str, Any]:
    """Return the document for a caller that has its credential: what is generated are bodies, queries and paths.

    The paths under `/v1` of Ref's operations are the same code again, and left out unless `every` is asked for.
    """
    found = copy.deepcopy(openapi(bare_app().routes))
    found["components"].pop("securitySchemes")
    found["components"]["parameters"]["tenantInPath"]["schema"] = {"enum": [TENANT]}
    for path, method in OUTWARD:
        found["paths"].get(path, {}).pop(method, None)
    for path, item in list(found["paths"].items()):
        for operation in item.values():
            operation.pop("security")
            operation["parameters"] = [one for one in operation.get("parameters", []) if one not in HEADERS]
            for parameter in operation["parameters"]:
                if parameter.get("in") == "path":
                    parameter["schema"] = {"enum": [f"{KNOWN}-{path.split('/')[-2]}", KNOWN, "nope"]}
        if not every and f"/v1{path}" in found["paths"]:
            del found["paths"][f"/v1{path}"]
    return found


def generated(*, every: bool) -> Any:
    config = {"generation": {"allow-x00": False}, "phases": {"coverage": {"enabled": every, "unexpected-methods": []}}}
    return schemathesis.openapi.from_dict(document(every=every), config=SchemathesisConfig.from_dict(config))


def ask(case: schemathesis.Case, service: Service, session: requests.Session) -> None:
    kind = case.operation.path.removeprefix("/v1").split("/")[1]
    for name, value in case.path_parameters.items():
        if str(value).startswith(KNOWN):
            case.path_parameters[name] = service.ids.get(kind, "nope")
    case.call_and_validate(base_url=service.url, session=session, headers=service.headers, checks=CHECKS, timeout=30)
