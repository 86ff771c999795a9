"""Whose name who is told."""

from dataclasses import replace

from tests.services.test_people import CLI, OTHER, House


async def test_a_user_is_named_within_its_tenant_and_to_no_agent() -> None:
    """Beside an approval people are to read who said yes; an agent is not told whom it has to persuade."""
    house = House()
    user = await house.user("ada@example.com")
    await house.people.change(CLI, user.id, disabled=True)
    assert house.people.named(CLI, user.id) == "ada@example.com"
    assert house.people.named(OTHER, user.id) == ""
    assert house.people.named(replace(CLI, bound=True), user.id) == ""
    assert house.people.named(CLI, "usr_gone") == ""
