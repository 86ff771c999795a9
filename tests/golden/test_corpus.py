"""The corpus is fit to judge with: every tool is labelled, every example call is valid, the README's promises hold."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

CORPUS = Path(__file__).parent / "corpus"
SERVERS = sorted(path.stem for path in CORPUS.glob("*.json") if path.stem != "servers")
EFFECTS = {"read", "write", "destructive", "execute", "send", "payment", "credential", "access"}
NEED_A_DANGEROUS_CALL = EFFECTS - {"read", "write"}
# Its schema has an empty enumeration for a required argument, so no call is valid.
UNCALLABLE = {("netlify", "netlify-coding-rules")}
LEAST_SERVERS, LEAST_TOOLS, LEAST_DANGEROUS_CALLS = 25, 350, 400


@cache
def tool_list(server: str) -> dict[str, Any]:
    return json.loads((CORPUS / f"{server}.json").read_text())


@cache
def labels(server: str) -> dict[str, Any]:
    return json.loads((CORPUS / "labels" / f"{server}.json").read_text())


def test_the_corpus_is_large_enough_to_judge_with() -> None:
    """The issue asks for 25 servers and 300 tools; a smaller corpus would flatter the classifier."""
    every = [label for server in SERVERS for label in labels(server).values()]
    assert len(SERVERS) >= LEAST_SERVERS
    assert len(every) >= LEAST_TOOLS
    assert sum(len(label["dangerous_calls"]) for label in every) >= LEAST_DANGEROUS_CALLS


def test_every_effect_has_tools() -> None:
    """A class without examples would go unjudged."""
    assert {label["effect"] for server in SERVERS for label in labels(server).values()} == EFFECTS


def test_start_commands_are_known_for_every_server_in_the_corpus() -> None:
    """A list that cannot be collected again cannot be checked."""
    rows = {row["name"]: (row["package"], row["version"]) for row in json.loads((CORPUS / "servers.json").read_text())}
    assert rows == {server: (tool_list(server)["package"], tool_list(server)["version"]) for server in SERVERS}


@pytest.mark.parametrize("server", SERVERS)
def test_every_tool_is_labelled_once_with_a_known_effect(server: str) -> None:
    """An unlabelled tool would be left out of the accuracy without a word."""
    assert [tool["name"] for tool in tool_list(server)["tools"]] == list(labels(server))
    assert {label["effect"] for label in labels(server).values()} <= EFFECTS


@pytest.mark.parametrize("server", SERVERS)
def test_example_calls_are_valid_against_the_tools_schema(server: str) -> None:
    """A call that the schema refuses is denied for that reason and would prove nothing about the classifier."""
    for tool in tool_list(server)["tools"]:
        if (server, tool["name"]) in UNCALLABLE:
            continue
        validator = jsonschema_rs.validator_for(tool["inputSchema"])
        label = labels(server)[tool["name"]]
        for call in label["dangerous_calls"] + label["ordinary_calls"]:
            assert validator.is_valid(call["arguments"]), (tool["name"], call["arguments"])


@pytest.mark.parametrize("server", SERVERS)
def test_every_tool_has_the_example_calls_that_its_effect_asks_for(server: str) -> None:
    """The ceiling of dangerous calls allowed means nothing for a class that has none."""
    for name, label in labels(server).items():
        if label["effect"] in NEED_A_DANGEROUS_CALL:
            assert label["dangerous_calls"], name
        if label["effect"] == "read" and (server, name) not in UNCALLABLE:
            assert label["ordinary_calls"], name
        assert not [call for call in label["ordinary_calls"] if label["effect"] == "execute"], name


@pytest.mark.parametrize("server", SERVERS)
def test_no_call_is_both_dangerous_and_ordinary(server: str) -> None:
    """A contradiction in the labels would make one of the two promises impossible."""
    for name, label in labels(server).items():
        dangerous = [call["arguments"] for call in label["dangerous_calls"]]
        assert not [call for call in label["ordinary_calls"] if call["arguments"] in dangerous], name
