"""The page about authentication says what the code does, where it has tables of it."""

from gateway.core.credentials import SECRET_CHARS
from gateway.core.principal import ROLE_SCOPES, Role, Scope
from gateway.services.keygrants import ENTERPRISE
from gateway.services.ratelimit import RATES
from gateway.settings import RateSettings
from tests.house.documents import ROOT

PAGE = (ROOT / "docs" / "authentication.md").read_text()


def table(heading: str) -> list[list[str]]:
    """Return the cells of the first table under a heading, its head first."""
    _, _, section = PAGE.partition(f"## {heading}\n")
    lines = section.partition("\n## ")[0].splitlines()
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row for row in rows if set("".join(row)) != {"-"}]


def test_the_table_of_roles_is_the_codes() -> None:
    """Contract, "Authentication": scopes, and roles that group them."""
    head, *rows = table("Scopes and roles")
    assert head[1:] == list(Role)
    assert [row[0] for row in rows] == list(Scope)
    for number, role in enumerate(Role, start=1):
        assert {row[0] for row in rows if row[number] == "yes"} == ROLE_SCOPES[role]
        assert {row[number] for row in rows} <= {"yes", ""}


def test_the_table_of_plans_is_the_codes() -> None:
    """Contract, "Rate limits"."""
    _, *rows = table("Rate limits")
    assert {("" if plan == "none" else plan): number for plan, number in rows} == {
        **{plan: str(number) for plan, number in RATES.items()},
        ENTERPRISE: "the key's own number",
    }
    assert RateSettings().by_plan() == RATES


def test_the_length_of_a_secret_is_the_codes() -> None:
    """Whoever checks keys elsewhere relies on it."""
    assert f"{SECRET_CHARS} characters of base62" in PAGE
