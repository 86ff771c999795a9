"""SQL is read for its effect; what destroys or escapes is found behind comments, literals and other statements."""

import pytest

from gateway.core.intent.content_sql import MAX_STATEMENTS, injected_condition, read_sql
from gateway.core.intent.model import EffectClass
from tests.core.intent.test_content_paths import grows_linearly

R, W, D, X, A = (
    EffectClass.READ,
    EffectClass.WRITE,
    EffectClass.DESTRUCTIVE,
    EffectClass.EXECUTE,
    EffectClass.ACCESS,
)


@pytest.mark.parametrize(
    "text",
    [
        "drop table users", "DROP/**/TABLE users".lower(), "truncate table t", "truncate t", "delete from users",
        "delete from users -- where id=1", "delete from users /* where id=1 */", "delete from users where 1=1",
        "delete from users where true", "delete from users where id=1 or 1=1", "update users set admin=1",
        "update users set a=' where id=1 '", "update users set a=$$ where $$", "select 1; drop table users",
        "1; drop table users", "'; drop table users --", "select * from t into outfile '/tmp/x'",
        "copy t from program 'id'",
        "/*!50000 drop table x */", "select 1 drop table users",
        "with x as (delete from users returning *) select * from x",
        "explain analyze delete from users", "select pg_read_file('/etc/passwd')", "exec xp_cmdshell 'dir'", "flushall",
        "match (n) detach delete n", "select 1; insert into t values (1)", "drop /* unclosed table x",
        "drop table x /* unclosed",
        "update t set a='\\' where id=1 --'", "delete from t where 'a'='a'", "delete from users where",
        "update t set a=1 where id=id",
        "/*+ x */ drop table y",
        "select ';--'; drop table users", "select sleep(99)",
        ".shell rm x",
        "\\copy users to program 'sh'", "\\! id",
        "call apoc.periodic.iterate('match (n) return n', 'detach delete n')", "clear graph <x>",
        "delete t from t", "drop database x -- gone\n", "-- all of it\ndrop table x",
    ],
)  # fmt: skip
def test_destructive_sql_is_found(text: str) -> None:
    """Each of these empties, drops, or leaves the database."""
    assert read_sql(text, expected=True).danger


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        ("select * from users where id = 7", R), ("with x as (select 1) select * from x", R),
        ("insert into t values (1)", W), ("update t set a=1 where id=2", W), ("create table t (a int)", W),
        ("select * into t2 from t", W), ("select * from t for update", W), ("delete from t where id=3", D),
        ("grant all on t to bob", A), ("create user bob", A), ("alter role bob superuser", A), ("call refresh()", X),
        ("create function f() returns int", X), ("match (n) set n.a=1 return n", W), ("match (n) return n", R),
        ("pragma x=1", W), ("update t set a=1 where id>0", D), ("select nextval(1)", W),
        ("frob the database with care", EffectClass.UNKNOWN), ("begin; select 1; commit", R), ("select 1; select 2", R),
        ("select drop_everything()", D), ("call db.x()", X), (".tables", None),
        ("union select 1", R), ("insert into t values (1); select 1", W),
    ],
)  # fmt: skip
def test_each_statement_has_its_effect(text: str, effect: EffectClass | None) -> None:
    """A tool called `query` writes when its SQL does."""
    reading = read_sql(text, expected=True)
    assert (reading.effect, reading.danger) == (effect, "")


@pytest.mark.parametrize(
    "text",
    [
        "reset all", "discard all", "flush tables", "handler t open", "install httpfs", "export database '/x'",
        "notify a", "listen a", "security label on table t is 'x'", "cluster t", "analyze t",
        "begin execute immediate 'drop table t'; end;", "select u&'\\0064rop'", "select getenv('HOME')",
    ],
)  # fmt: skip
def test_statements_that_few_think_of_are_no_reads(text: str) -> None:
    """They were allowed to a newcomer, as no statement at all."""
    reading = read_sql(text, expected=True)
    assert reading.effect not in (None, EffectClass.READ, EffectClass.UNKNOWN)


@pytest.mark.parametrize(
    "text",
    [
        "", "hello", "how to drop table in sql", "please delete my account", "update on the project",
        "select a colour for me",
        "create a note; then send it", "grant application", "with all due respect", "a -- b", "load the dishwasher",
        "; ; ;", "union of workers", "drop everything", "do " + "; x" * (MAX_STATEMENTS + 1), "match the following",
    ],
)  # fmt: skip
def test_prose_is_no_sql_where_none_is_expected(text: str) -> None:
    """Words of SQL are words of English."""
    assert read_sql(text, expected=False).effect is None


@pytest.mark.parametrize(
    "text", ["drop table users", "x'; drop table users; --", "delete from users", "flushdb", "truncate users"]
)
def test_statements_are_found_where_none_is_expected(text: str) -> None:
    """Injection puts SQL into arguments that are not meant for it."""
    assert read_sql(text, expected=False).danger


def test_more_statements_than_are_read_are_a_danger() -> None:
    """What was not looked at may not pass as harmless."""
    assert read_sql("select 1;" * (MAX_STATEMENTS + 1), expected=True).danger


@pytest.mark.parametrize("piece", ["'", '"', "/*", "*/", "--", "-- \n", ";", "delete from ", "where '", "/*!", "' \""])
def test_hostile_sql_is_read_in_linear_time(piece: str) -> None:
    """No text may hold the gate up."""
    assert grows_linearly(lambda text: read_sql(text, expected=True), piece)


@pytest.mark.parametrize("text", ["1' or '1'='1", "x' and 1=1 --", "' || 'a'<'b", "a' or not 'a' like 'b"])
def test_a_condition_that_breaks_out_of_its_quotes_is_found(text: str) -> None:
    """An id that ends a literal and goes on is no id."""
    assert injected_condition(text)


@pytest.mark.parametrize("text", ["it's 5 or 6", "rock 'n' roll and more", "'in' or out", "o'clock", ""])
def test_apostrophes_in_prose_are_no_condition(text: str) -> None:
    """People write them all day."""
    assert not injected_condition(text)


@pytest.mark.parametrize("piece", ["' or ", "' or '1", "drop_a ", "'--", "\\o "])
def test_the_search_for_conditions_and_calls_is_linear(piece: str) -> None:
    """An agent chooses the text; a slow search would hold everybody up."""
    assert grows_linearly(lambda text: (injected_condition(text), read_sql(text, expected=True)), piece)
