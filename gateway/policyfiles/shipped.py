"""Where the policies lie that come with the gateway: beside it in a checkout, inside it in an installed wheel.

Wherever a policy file or folder is named, `shipped:NAME` names one of these. Their names are their files', whatever
folder they lie in.
"""

from pathlib import Path

from gateway.errors import ConfigurationError, Problem

__all__ = ["SHIPPED", "located", "shipped_policies", "shipped_policy"]

SHIPPED = "shipped:"
"""Before the name of a shipped policy; a file of one's own that begins so is named by its absolute path."""

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
    """Return a shipped policy file by its name, for example `default`, `read-only` or `github`.

    Raises:
        ConfigurationError: there is no such file.
    """
    known = _named(package)
    if name not in known:
        remedy = f"use one of {', '.join(SHIPPED + known for known in sorted(known))}"
        message = "there is no shipped policy of this name"
        raise ConfigurationError(Problem(source=SHIPPED + name, message=message, remedy=remedy))
    return known[name]


def located(path: Path, package: Path = _PACKAGE) -> Path:
    """Return the file that `shipped:NAME` stands for; any other path is what it is.

    Raises:
        ConfigurationError: there is no shipped policy of that name.
    """
    text = str(path)
    if text.startswith(SHIPPED):
        return shipped_policy(text.removeprefix(SHIPPED), package)
    if not path.exists() and text in _named(package):
        remedy = f"write {SHIPPED}{text} for the policy that comes with the gateway, or check the path"
        raise ConfigurationError(Problem(source=text, message="there is no such file or folder", remedy=remedy))
    return path


def _named(package: Path) -> dict[str, Path]:
    """Return the shipped policies by name."""
    files = shipped_policies(package).rglob("*.yaml")
    return {file.stem: file for file in files if not file.stem.endswith("_test")}
