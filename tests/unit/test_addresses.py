"""No password is kept in a way back or shown; the one that is known now is used."""

from typing import Any

from jamaint.core.secrets import texts_with_passwords, without_passwords
from jamaint.daemon.state.password_references import hidden, revealed

ADDRESS = "postgresql://jamaint:secret@db/cms?connect_timeout=3"


def opening(config: dict[str, Any]) -> dict[str, Any]:
    return {"do": "open", "execution": "e", "task": {"name": "tidy", "config": config}}


def known(*texts: str) -> dict[str, str]:
    return dict(pair for text in texts for pair in texts_with_passwords({"dsn": text}))


def test_a_password_is_not_kept_and_is_found_again() -> None:
    given = opening({"dsn": ADDRESS, "cleanup_old_data": [{"table": "t"}]})
    kept = hidden(given)
    assert "secret" not in str(kept)
    assert revealed(kept, known("postgresql://other:x@db/cms", ADDRESS)) == given


def test_one_that_was_changed_meanwhile_is_the_new_one() -> None:
    kept = hidden(opening({"dsn": ADDRESS}))
    new = ADDRESS.replace("secret", "changed")
    assert revealed(kept, known(new))["task"]["config"]["dsn"] == new


def test_one_that_is_known_no_more_stays_hidden() -> None:
    kept = hidden(opening({"dsn": ADDRESS}))
    assert revealed(kept, {}) == kept


def test_tasks_of_another_kind_are_left_as_they_are() -> None:
    given = opening({"log_paths": ["/var/log/x"]})
    assert hidden(given) == given
    assert revealed(given, known(ADDRESS)) == given


def test_however_deep() -> None:
    shown = without_passwords({"config": {"dsn": "postgresql://u:p@h/x", "more": {"dsn": "postgresql://u@h/x"}}})
    assert shown == {"config": {"dsn": "postgresql://u:***@h/x", "more": {"dsn": "postgresql://u@h/x"}}}
