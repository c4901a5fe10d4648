"""Problems: each kind carries a code for programs, a sentence for people, and data of its own."""

import pytest

from jamaint import errors
from jamaint.errors import JamaintError, invalid, not_found, refused, unavailable

REASON = {"guard": "window", "verdict": "refuse", "detail": "window night is closed"}


@pytest.mark.parametrize(
    ("problem", "code", "message", "data"),
    [
        (JamaintError(-32700, "not JSON"), -32700, "not JSON", {}),
        (
            invalid("task.name", "must be a string"),
            -32602,
            "task.name: must be a string",
            {"path": "task.name", "problem": "must be a string"},
        ),
        (not_found("task", "x"), -32001, "no such task: x", {"kind": "task", "name": "x"}),
        (
            not_found("task", "backp", "backup"),
            -32001,
            "no such task: backp; did you mean backup?",
            {"kind": "task", "name": "backp", "meant": "backup"},
        ),
        (refused("cannot run x: y", [REASON]), -32002, "cannot run x: y", {"reasons": [REASON]}),
        (unavailable("the database is away", 1.5), -32005, "the database is away", {"retry_after": 1.5}),
    ],
)
def test_a_problem_is_one_sentence_a_code_and_data(
    problem: JamaintError, code: int, message: str, data: object
) -> None:
    assert (problem.code, problem.message, problem.data, str(problem)) == (code, message, data, message)
    with pytest.raises(JamaintError) as raised:
        raise problem
    assert raised.value is problem


def test_the_codes_of_the_contract_are_all_there_and_differ() -> None:
    codes = {name: value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}
    codes.pop("TYPE_CHECKING", None)
    assert codes == {
        "PARSE_ERROR": -32700,
        "INVALID_REQUEST": -32600,
        "METHOD_NOT_FOUND": -32601,
        "INVALID_PARAMS": -32602,
        "INTERNAL": -32603,
        "NOT_FOUND": -32001,
        "REFUSED": -32002,
        "CONFLICT": -32003,
        "NOT_AUTHORISED": -32004,
        "UNAVAILABLE": -32005,
        "TOO_LARGE": -32006,
    }


def test_what_is_done_to_a_problem_s_data_is_not_done_to_what_it_was_made_from() -> None:
    data, reasons = {"path": "x"}, [REASON]
    problems = JamaintError(errors.CONFLICT, "x", data), refused("x", reasons)
    problems[0].data["id"] = 7
    problems[1].data["reasons"].append(REASON)
    assert (data, reasons) == ({"path": "x"}, [REASON])
