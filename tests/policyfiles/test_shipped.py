"""The shipped policies are found in a checkout and in a wheel."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.intent.classify import classify
from gateway.core.intent.model import IntentContext
from gateway.core.policy.cel import Engine
from gateway.core.policy.evaluate import evaluate
from gateway.errors import ConfigurationError
from gateway.policyfiles.cases import load_cases
from gateway.policyfiles.files import load_bundle
from gateway.policyfiles.shipped import located, shipped_policies, shipped_policy
from tests.core.policy.builders import given


def layout(root: Path, folder: str) -> Path:
    package = root / "gateway"
    policies = package.parent / folder
    (policies / "packs").mkdir(parents=True)
    package.mkdir(exist_ok=True)
    for name in ("default.yaml", "default_test.yaml", "packs/github.yaml"):
        (policies / name).touch()
    return package


@pytest.mark.parametrize("folder", ["policies", "gateway/_policies"])
def test_the_folder_is_found_in_both_kinds_of_installation(tmp_path: Path, folder: str) -> None:
    """A wheel carries `policies/` inside of the package (design, "Libraries")."""
    package = layout(tmp_path, folder)
    assert shipped_policies(package) == tmp_path / folder
    assert shipped_policy("default", package) == tmp_path / folder / "default.yaml"
    assert shipped_policy("github", package) == tmp_path / folder / "packs/github.yaml"


def test_this_checkout_has_its_policies() -> None:
    """The default is in force where nobody names another; two of one name would hide each other."""
    assert shipped_policy("default").is_file()
    files = [file.name for file in shipped_policies().rglob("*.yaml")]
    assert len(files) == len({*files})


@pytest.mark.parametrize("name", ["default", "read-only"])
def test_an_ordinary_read_asks_the_engine_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise 8: plain matching costs 5 us, a handful of conditions 30."""

    def untouchable(*_: object) -> None:
        raise AssertionError("the engine was asked")

    bundle = load_bundle(shipped_policy(name))
    call = given({"path": "/srv/README.md"}, name="read_file").call
    intent = classify(call, IntentContext())
    monkeypatch.setattr(Engine, "activation", untouchable)
    asked = replace(given(), call=call, intent=intent)
    assert [rule.effect for rule in evaluate(bundle, asked).matched] == ["ALLOW"]


def test_an_unknown_name_lists_the_known_ones_and_no_cases(tmp_path: Path) -> None:
    """`--policies` with a typing mistake must not start with something else."""
    package = layout(tmp_path, "policies")
    for name in ("../default", "packs/github", "default_test", ""):
        with pytest.raises(ConfigurationError, match=r"use one of shipped:default, shipped:github$"):
            located(Path(f"shipped:{name}"), package)


def test_a_shipped_policy_is_named_wherever_a_path_is(tmp_path: Path) -> None:
    """In a wheel nobody knows where they lie; a file of one's own is never mistaken for one."""
    package = layout(tmp_path, "policies")
    assert located(Path("shipped:github"), package) == tmp_path / "policies/packs/github.yaml"
    assert located(Path("mine/shipped:github"), package) == Path("mine/shipped:github")
    assert located(tmp_path / "policies", package) == tmp_path / "policies"


def test_a_shipped_name_without_its_prefix_is_put_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--policies filesystem` is what one tries first; a file of that name is still what was meant."""
    package = layout(tmp_path, "policies")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="write shipped:github"):
        located(Path("github"), package)
    (tmp_path / "github").touch()
    assert located(Path("github"), package) == Path("github")


def test_an_installation_without_policies_says_so(tmp_path: Path) -> None:
    """Without a policy there is nothing to start with."""
    with pytest.raises(ConfigurationError, match="missing from this installation"):
        shipped_policies(tmp_path / "gateway")


def test_the_examples_of_the_guide_load(tmp_path: Path) -> None:
    """The first thing that an operator copies."""
    guide = (shipped_policies() / "README.md").read_text(encoding="utf-8")
    policy, cases = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    (tmp_path / "x.yaml").write_text(policy)
    (tmp_path / "x_test.yaml").write_text(cases)
    assert len(load_cases(tmp_path / "x_test.yaml").bundle.rules) == 3
