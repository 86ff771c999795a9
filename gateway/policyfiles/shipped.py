"""Where the policies lie that come with the gateway: beside it in a checkout, inside it in an installed wheel."""

from pathlib import Path

from gateway.errors import ConfigurationError, Problem

__all__ = ["shipped_policies", "shipped_policy"]

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped_policies(package: Path = _PACKAGE) -> Path:
    """Return the folder of shipped policies. Raises ConfigurationError where the installation lacks it."""
    for folder in (package / "_policies", package.parent / "policies"):
        if (folder / "default.yaml").is_file():
            return folder
    problem = Problem(
        source=str(package),
        message="the shipped policies are missing from this installation",
        remedy="install the gateway again, or name your own policies with --policies",
    )
    raise ConfigurationError(problem)


def shipped_policy(name: str, package: Path = _PACKAGE) -> Path:
    """Return a shipped policy file by its name, for example `default`, `read-only` or `packs/github`.

    Raises:
        ConfigurationError: there is no such file.
    """
    folder = shipped_policies(package)
    names = sorted(str(file.relative_to(folder).with_suffix("")) for file in folder.rglob("*.yaml"))
    known = [known for known in names if not known.endswith("_test")]
    if name not in known:
        remedy = f"use one of {', '.join(known)}"
        raise ConfigurationError(Problem(source=name, message="there is no shipped policy of this name", remedy=remedy))
    return folder / f"{name}.yaml"
