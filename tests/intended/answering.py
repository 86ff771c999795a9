"""What the tests of the client share: answers as the documents have them, and a service that gives them."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from intended.target import Target, target

KEY = "intendedops_tenant123_xK9mN2pQ7rS4tU6v"
BASE = "http://127.0.0.1:8787"

ALLOW: dict[str, Any] = {
    "intentId": "int_abc123",
    "decision": "ALLOW",
    "riskScore": 42,
    "confidence": 0.94,
    "token": "eyJhbGciOiJSUzI1NiJ9.eyJqdGkiOiIxIn0.c2ln",
    "trace": {
        "policySet": "prod-deploy-v3",
        "triggeredRules": ["allow-ci-deploy"],
        "evaluatedAt": "2026-03-22T14:30:00Z",
    },
}
"""The reference's own answer, with a token in the form that tokens have."""

Handler = Callable[[httpx.Request], httpx.Response]


def aimed(**changes: Any) -> Target:
    values: dict[str, Any] = {"api_key": KEY, "tenant_id": None, "base_url": BASE, "timeout": 5.0, "retries": 2}
    return target(**(values | changes))


class Service:
    """Answers requests one after the other, the last answer for ever; keeps what it was sent."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.seen: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return again(answer)

    @property
    def sent(self) -> list[str]:
        """Method and path of each request, in order."""
        return [f"{request.method} {request.url.raw_path.decode()}" for request in self.seen]

    @property
    def body(self) -> Any:
        """The JSON of the last request."""
        return json.loads(self.seen[-1].content)

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self)


def says(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> httpx.Response:
    return httpx.Response(status, json=value, headers=dict(headers or {}))


def again(answer: httpx.Response) -> httpx.Response:
    """Return the same answer to be read once more."""
    return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def without(members: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in members.items() if name not in names}
