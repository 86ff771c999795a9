"""The Dockerfile: clean by hadolint's rules, and carrying what makes the image safe.

`dockerfile_steps.py` beside this file runs its steps; `.ci/run` calls it.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gateway.configuration.environment import read_environment
from gateway.configuration.shape import root
from gateway.errors import ConfigurationError
from gateway.settings import Settings
from tests.packaging.dockerfile_steps import ROOT, allowed, instructions, placed

DOCKERFILE = instructions((ROOT / "Dockerfile").read_text())


def last(name: str) -> str:
    return [arguments for instruction, arguments in DOCKERFILE if instruction == name][-1]


def variables() -> dict[str, str]:
    pairs = dict(pair.split("=", 1) for pair in last("ENV").split())
    return {name: value for name, value in pairs.items() if name.startswith("INTENDED_")}


def settings(**more: str) -> Settings:
    layer, problems = read_environment(variables() | more, root(Settings))
    assert problems == []
    return Settings.model_validate(layer.values)


def test_hadolint_has_nothing_to_say() -> None:
    """No engine is at hand, but the linter is."""
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_is_small_and_not_root() -> None:
    """Two stages, so that no compiler and no source is in it; a number as user, so that Kubernetes can check it."""
    assert [name for name, _ in DOCKERFILE].count("FROM") == 2
    assert re.fullmatch(r"10001:10001", last("USER"))
    assert "slim" in last("FROM")


def test_the_image_has_a_python_that_the_tests_run_on() -> None:
    """`.ci/run --full` runs them on each Python that the package's classifiers name."""
    [version] = {re.match(r"python:(\d+\.\d+)", base)[1] for name, base in DOCKERFILE if name == "FROM"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Programming Language :: Python :: {version}" in project["classifiers"]


def test_the_health_check_is_the_programs_own() -> None:
    """No shell and no curl in it."""
    assert json.loads(re.search(r"\[.*\]", last("HEALTHCHECK"))[0]) == ["intended", "health"]


def test_variables_alone_configure_it() -> None:
    """One folder is written to, and the copy of the heads does not lie inside the store's."""
    found = settings(INTENDED_GATEWAY_UPSTREAMS__default__URL="http://x/mcp")
    assert found.upstreams["default"].url == "http://x/mcp"
    assert found.data is not None
    assert found.state is not None
    assert Path(json.loads(last("VOLUME"))[0]) in found.data.parents
    assert found.data not in found.state.parents


def test_without_a_word_about_it_it_refuses_to_serve_strangers() -> None:
    """It has to bind every address, so somebody must say that the network keeps others away."""
    with pytest.raises(ConfigurationError, match="unsafe"):
        settings().require_safe_address(keyed=False)
    settings(INTENDED_GATEWAY_UNSAFE_ALLOW_UNAUTHENTICATED="true").require_safe_address(keyed=False)


@pytest.mark.parametrize(("name", "copied"), [("gateway", True), (".git", False), ("tests", False), (".venv", False)])
def test_only_what_is_built_goes_to_the_builder(name: str, *, copied: bool) -> None:
    """No history, no secrets, no local state."""
    assert allowed(name) is copied


def test_paths_of_the_image_are_put_under_a_folder() -> None:
    """So that running the steps touches nothing else."""
    assert placed("/data /data/store /opt/intended/bin /etc/data", Path("/tmp/r")) == (
        "/tmp/r/data /tmp/r/data/store /tmp/r/opt/intended/bin /etc/data"
    )
