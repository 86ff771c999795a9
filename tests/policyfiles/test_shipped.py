"""The shipped policies are found in a checkout and in a wheel."""

from pathlib import Path

import pytest

from gateway.errors import ConfigurationError
from gateway.policyfiles.shipped import shipped_policies, shipped_policy


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
    assert shipped_policy("packs/github", package) == tmp_path / folder / "packs/github.yaml"


def test_this_checkout_has_its_policies() -> None:
    """The default is in force where nobody names another."""
    assert shipped_policy("default").is_file()


def test_an_unknown_name_lists_the_known_ones_and_no_cases(tmp_path: Path) -> None:
    """`--policies` with a typing mistake must not start with something else."""
    package = layout(tmp_path, "policies")
    with pytest.raises(ConfigurationError, match=r"use one of default, packs/github$"):
        shipped_policy("../default", package)


def test_an_installation_without_policies_says_so(tmp_path: Path) -> None:
    """Without a policy there is nothing to start with."""
    with pytest.raises(ConfigurationError, match="missing from this installation"):
        shipped_policies(tmp_path / "gateway")
