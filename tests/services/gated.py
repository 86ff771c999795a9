"""A tool that echoes and a policy that asks about some words, for the tests of `services/gating.py`."""

from gateway.core.jsonvalue import JsonObject
from tests.simulate.world import tool

ECHO = tool("echo")
ONLY_SAFE = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: safe, effect: allow, match: {tools: [echo]}, when: "args.text == 'hi'", reason: greetings}
  - {id: big, effect: escalate, match: {tools: [echo]}, when: "args.text == 'big'", reason: ask}
"""


def text_of(message: JsonObject) -> str:
    return str(message["result"]["content"][0]["text"])
