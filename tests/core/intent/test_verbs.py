"""Words speak for effects: the leading verb, the nouns that make it graver, the second verb that hides behind `and`."""

import pytest

from gateway.core.intent.model import EffectClass
from gateway.core.intent.naming import split
from gateway.core.intent.verbs import graver, read_sentence, read_value, read_words

R, W, D = EffectClass.READ, EffectClass.WRITE, EffectClass.DESTRUCTIVE
X, S, P = EffectClass.EXECUTE, EffectClass.SEND, EffectClass.PAYMENT
C, A = EffectClass.CREDENTIAL, EffectClass.ACCESS


@pytest.mark.parametrize(
    ("name", "effect"),
    [
        ("read_file", R), ("listIssues", R), ("search-notes", R), ("browser_snapshot", R), ("message_list", R),
        ("current_weather", R), ("open_page", R), ("API-post-search", R), ("API-get-user", R),
        ("project-services-reader", R),
        ("write_file", W), ("create_issue", W), ("API-patch-page", W), ("open_issue", W), ("select_option", W),
        ("remove_label", W), ("draft_email", W), ("branch", W), ("create_email_draft", W), ("update_tag", W),
        ("list_create", W), ("create_workflow", W), ("services-updater", W), ("schedule_message_filter", W),
        ("delete_file", D), ("API-delete-block", D), ("view_list_delete", D), ("get_and_delete", D),
        ("read_then_purge_log", D),
        ("write_query", D), ("get_file_delete", D),
        ("run_query", X), ("start_process", X), ("create_container", X), ("build", X), ("evaluate_script", X),
        ("send_email", S), ("create_message", S), ("slack_post", S), ("search_and_send", S), ("get_and_email", S),
        ("create_refund", P), ("process_payment", P), ("cancel_subscription", P), ("manage_subscription", P),
        ("pay", P),
        ("get_secret", C), ("create_api_key", C), ("delete_access_token", C), ("set_environment_variable", C),
        ("list_env", C),
        ("add_collaborator", A), ("create_user", A), ("delete_user", A), ("remove_member", A), ("grant_role", A),
    ],
)  # fmt: skip
def test_a_name_speaks_for_its_effect(name: str, effect: EffectClass) -> None:
    """The name is the first evidence, and general words must be enough to read it."""
    assert read_words(split(name)).effect is effect


@pytest.mark.parametrize("name", ["frobnicate", "manage_thing", "", "user_profile_frob"])
def test_a_name_that_says_nothing_is_not_guessed(name: str) -> None:
    """Unknown means high risk; a guess would mean low risk by accident."""
    assert read_words(split(name)).effect is None


def test_counting_tokens_is_no_use_of_credentials() -> None:
    """Language models have tokens, too."""
    assert read_words(split("count_access_tokens")).effect is R


def test_getting_and_doing_something_read_keeps_the_first_effect() -> None:
    """A second reading verb adds nothing."""
    assert read_words(split("get_and_show")).effect is R
    assert read_words(split("get_and_frob")).effect is R


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        ("Deletes the file", D),
        ("Returns the weather", R),
        ("Copies a file", W),
        ("Creating a note", W),
        ("This tool sends mail", S),
        ("Fetches pages", R),
        ("Does not delete anything", None),
        ("", None),
        ("A thing of beauty", None),
        ("Call this when writing code for something", None),
    ],
)
def test_a_description_speaks_by_its_first_verb(text: str, effect: EffectClass | None) -> None:
    """Descriptions are evidence where names are silent."""
    assert read_sentence(text).effect is effect


@pytest.mark.parametrize(
    ("value", "effect"),
    [
        ("delete", D), ("GET", R), ("post", S), ("PUT", W), ("DELETE", D), ("list_all", R), ("create", W), ("fast",
        None),
        ("message", None), ("", None), ("get-deploy", R),
    ],
)  # fmt: skip
def test_a_value_speaks_only_by_a_clear_verb(value: str, effect: EffectClass | None) -> None:
    """Values such as `message` are data as often as actions."""
    assert read_value(value).effect is effect


def test_a_value_is_read_with_the_nouns_of_its_tool() -> None:
    """`add` on a role is a change of access."""
    assert read_value("add", ("role",)).effect is A


@pytest.mark.parametrize(
    ("name", "effect"),
    [
        ("place_stock_order", EffectClass.PAYMENT),
        ("modify_order", EffectClass.PAYMENT),
        ("close_all_positions", EffectClass.PAYMENT),
        ("exercise_options_position", EffectClass.PAYMENT),
        ("update_position", EffectClass.WRITE),
        ("place_details", EffectClass.READ),
        ("stop_build", EffectClass.DESTRUCTIVE),
        ("stop_recording", EffectClass.WRITE),
        ("set_page_restrictions", EffectClass.ACCESS),
        ("transition_issue", EffectClass.WRITE),
        ("resolve_review_thread", EffectClass.WRITE),
        ("resolve_library_id", EffectClass.READ),
        ("review_pull_request", EffectClass.WRITE),
        ("take_ownership", EffectClass.ACCESS),
        ("take_screenshot", EffectClass.READ),
        ("load_extension", EffectClass.EXECUTE),
        ("extract_archive", EffectClass.WRITE),
        ("answer_callback_query", EffectClass.SEND),
        ("open_port", EffectClass.ACCESS),
        ("open_ticket", EffectClass.WRITE),
        ("export_to_s3", EffectClass.SEND),
        ("check_in", EffectClass.WRITE),
        ("unprotect_document", EffectClass.ACCESS),
        ("check_health", EffectClass.READ),
        ("get_token", EffectClass.CREDENTIAL),
        ("get_token_price", EffectClass.READ),
        ("get_cookies", EffectClass.CREDENTIAL),
        ("get_seed_phrase", EffectClass.CREDENTIAL),
        ("get_borrar_todo", EffectClass.DESTRUCTIVE),
        ("get-del", EffectClass.DESTRUCTIVE),
        ("scan_and_quarantine", EffectClass.WRITE),
    ],
)
def test_what_trades_stops_or_hides_behind_a_reading_verb_is_no_read(name: str, effect: EffectClass) -> None:
    """Found on servers and names that the word lists were not written against."""
    assert read_words(split(name)).effect is effect


def test_a_method_of_http_is_read_with_the_nouns_of_its_tool() -> None:
    """`manage_credentials` with the action `get` gives credentials back, and no noun makes a method weigh less."""
    assert read_value("get", ("manage", "credentials")).effect is EffectClass.CREDENTIAL
    assert read_value("delete", ("manage", "users")).effect is EffectClass.DESTRUCTIVE
    assert read_value("get", ("manage", "cards")).effect is EffectClass.READ


def test_of_two_effects_the_graver_one_wins_and_the_first_of_equals() -> None:
    """Evidence may only raise."""
    assert graver(R, D) is D
    assert graver(D, R) is D
    assert graver(D, P) is D
