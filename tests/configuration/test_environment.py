"""The environment as a source of settings."""

from pathlib import Path

import pytest

from gateway.configuration.environment import read_environment
from gateway.configuration.shape import root
from gateway.settings import Settings

SHAPE = root(Settings)


def read(**variables: str) -> dict:
    layer, problems = read_environment({f"INTENDED_GATEWAY_{name}": text for name, text in variables.items()}, SHAPE)
    assert problems == []
    return layer.values


def refused(**variables: str) -> list:
    layer, problems = read_environment({f"INTENDED_GATEWAY_{name}": text for name, text in variables.items()}, SHAPE)
    assert layer.values == {}
    return problems


def test_a_nested_variable_reaches_its_setting() -> None:
    """`__` is the only way into a section from outside a file (design, "Settings")."""
    assert read(LIMITS__DEPTH="12", PORT="0") == {"limits": {"depth": "12"}, "port": "0"}


def test_an_upstream_needs_no_file() -> None:
    """A container runs from environment variables alone (issue, "What a user can do", 4)."""
    assert read(UPSTREAMS__github__URL="http://x/mcp") == {"upstreams": {"github": {"url": "http://x/mcp"}}}


@pytest.mark.parametrize("spelling", ["MY_FILES", "my_files", "my-files"])
def test_an_upstreams_id_has_one_spelling(spelling: str) -> None:
    """Shells allow neither lower-case habits nor `-`, and the id allows nothing else."""
    assert read(**{f"UPSTREAMS__{spelling}__URL": "http://x"}) == {"upstreams": {"my-files": {"url": "http://x"}}}


def test_names_that_the_operator_chooses_keep_their_case() -> None:
    """A child's variable `API_KEY` is another one than `api_key`, and agents' names are case-sensitive."""
    found = read(UPSTREAMS__files__ENV__Api_KEY="k", TIERS__AGENTS__Billing="T2")
    assert found == {"upstreams": {"files": {"env": {"Api_KEY": "k"}}}, "tiers": {"agents": {"Billing": "T2"}}}


def test_a_list_is_words_or_json() -> None:
    """Commas serve hosts; an argument of a command may hold a comma itself."""
    assert read(ALLOWED_HOSTS="a.test, b.test:8787") == {"allowed_hosts": ["a.test", "b.test:8787"]}
    assert read(UPSTREAMS__f__ARGS='["-y", "a,b"]') == {"upstreams": {"f": {"args": ["-y", "a,b"]}}}


def test_a_map_may_be_one_json_object() -> None:
    """Orchestrators pass whole documents in one variable."""
    assert read(UPSTREAMS='{"a": {"url": "http://x"}}') == {"upstreams": {"a": {"url": "http://x"}}}


def test_a_credential_may_stand_in_a_file(tmp_path: Path) -> None:
    """Secrets are mounted as files; the line end that an editor leaves is not part of them."""
    secret = tmp_path / "token"
    secret.write_text("Bearer abc\n")
    found = read(UPSTREAMS__github__HEADERS__Authorization_FILE=str(secret))
    assert found == {"upstreams": {"github": {"headers": {"Authorization": "Bearer abc"}}}}


@pytest.mark.parametrize("content", [None, "", "\n", "x" * 70_000], ids=["missing", "empty", "line end", "huge"])
def test_an_unusable_credential_file_is_refused(tmp_path: Path, content: str | None) -> None:
    """An upstream called without its credential would fail later and elsewhere."""
    secret = tmp_path / "token"
    if content is not None:
        secret.write_text(content)
    [problem] = refused(UPSTREAMS__github__HEADERS__Authorization_FILE=str(secret))
    assert problem.source == "INTENDED_GATEWAY_UPSTREAMS__github__HEADERS__Authorization_FILE"
    assert "readable file" in problem.remedy


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PROT", "INTENDED_GATEWAY_PORT"),
        ("LIMITS__DEPT", "INTENDED_GATEWAY_LIMITS__DEPTH"),
        ("UPSTREAMS__a__URI", "INTENDED_GATEWAY_UPSTREAMS__a__URL"),
    ],
)
def test_a_misspelt_variable_is_an_error_that_names_the_right_one(name: str, meant: str) -> None:
    """pydantic-settings ignores it, and a limit that is not in force looks as if it were (research, ecosystem 2.1)."""
    [problem] = refused(**{name: "1"})
    assert problem.source == f"INTENDED_GATEWAY_{name}"
    assert f"did you mean '{meant}'" in problem.message


@pytest.mark.parametrize("name", ["NOTHING_LIKE_IT", "PORT__X", "UPSTREAMS____URL", ""])
def test_an_unknown_variable_is_an_error(name: str) -> None:
    """Every variable under the prefix is meant for us."""
    [problem] = refused(**{name: "1"})
    assert problem.message.startswith("there is no such setting")


def test_the_prefix_in_lower_case_is_an_error_too() -> None:
    """It would otherwise be the one misspelling that is silently ignored."""
    _, [problem] = read_environment({"intended_gateway_PORT": "1"}, SHAPE)
    assert "INTENDED_GATEWAY_PORT" in problem.message


def test_variables_of_others_are_left_alone() -> None:
    """The client SDK has `INTENDED_API_URL`; the configuration file's own variable is no setting."""
    environ = {"INTENDED_API_URL": "x", "PATH": "/bin", "INTENDED_GATEWAY_CONFIG": "intended.yaml"}
    layer, problems = read_environment(environ, SHAPE)
    assert (layer.values, problems) == ({}, [])


def test_an_empty_variable_is_an_error() -> None:
    """`POLICIES=` would otherwise name the working folder."""
    [problem] = refused(POLICIES="")
    assert problem.message == "is set, but empty"


def test_what_kubernetes_injects_is_recognised() -> None:
    """A service named intended-gateway sets INTENDED_GATEWAY_PORT to a URL; the remedy is not in our file."""
    [problem] = refused(PORT="tcp://10.0.0.1:8787")
    assert "enableServiceLinks: false" in problem.remedy


def test_one_setting_written_by_two_variables_is_an_error(tmp_path: Path) -> None:
    """Which of the two wins would depend on their spelling."""
    both = {
        "INTENDED_GATEWAY_UPSTREAMS__a__URL": "http://x",
        "INTENDED_GATEWAY_UPSTREAMS": '{"a": {"url": "http://y"}}',
    }
    _, [problem] = read_environment(both, SHAPE)
    assert "set twice" in problem.message


@pytest.mark.parametrize(
    ("name", "text"),
    [("UPSTREAMS", "[]"), ("LIMITS", "x"), ("ALLOWED_HOSTS", "["), ("LIMITS", '{"depth": 9, "depth": 9}')],
)
def test_what_is_not_json_where_json_is_needed_is_an_error(name: str, text: str) -> None:
    """Said at the variable, not as a type error of a model."""
    [problem] = refused(**{name: text})
    assert problem.source == f"INTENDED_GATEWAY_{name}"
    assert text not in str(problem).splitlines()[0] or len(text) == 1


def test_a_single_credential_may_stand_in_a_file_too(tmp_path: Path) -> None:
    """Orchestrators mount secrets as files; what is no credential cannot be put off to one."""
    secret = tmp_path / "key"
    secret.write_text("ab" * 32 + "\n")
    assert read(TOKENS__KEY_FILE=str(secret))["tokens"]["key"] == "ab" * 32
    [problem] = refused(TOKENS__ISSUER_FILE=str(secret))
    assert "no such setting" in problem.message
    [problem] = refused(KEY_FILE=str(secret))
    assert "no such setting" in problem.message
