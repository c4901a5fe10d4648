"""The protocol on bytes: strict with what comes in, plain and reversible in what goes out, however it is sent."""

import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamaint.errors import CONFLICT, INTERNAL, INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, TOO_LARGE, JamaintError
from jamaint.protocol import control
from jamaint.protocol.control import DEPTH_LIMIT, LINE_LIMIT, Lines, dumps, loads, parse_reply, parse_request

GOOD = b'{"jsonrpc":"2.0","id":7,"method":"task.get","params":{"task":"nightly"}}'


def line(**fields: Any) -> bytes:
    """A good request with some fields changed; None takes one away."""
    whole = {**json.loads(GOOD), **fields}
    return json.dumps({key: value for key, value in whole.items() if value is not None}).encode()


def with_params(text: str) -> bytes:
    """A request whose `params` hold one value, given as it stands on the protocol.control."""
    return b'{"jsonrpc":"2.0","id":1,"method":"m","params":{"x":%s}}' % text.encode("utf-8", "surrogatepass")


def value_of(text: str) -> Any:
    return parse_request(with_params(text)).params["x"]


def refusal_of(data: bytes) -> JamaintError:
    with pytest.raises(JamaintError) as refused:
        parse_request(data)
    return refused.value


def nested(depth: int, opened: str = "[", closed: str = "]") -> str:
    return opened * depth + ("0" if opened != "[" else "") + closed * depth


def steps_of(hostile: str) -> int:
    """How many lines of protocol/control.py are gone through until `hostile` is refused."""
    steps = 0

    def count(frame: Any, event: str, arg: Any) -> Any:
        nonlocal steps
        if frame.f_code.co_filename != control.__file__:  # the garbage collector's callbacks, for one
            return None
        steps += 1
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        loads(hostile)
    except ValueError:
        return steps
    finally:
        sys.settrace(before)
    raise AssertionError("was taken")


class TestRequests:
    """What a caller sends."""

    def test_a_good_one(self) -> None:
        request = parse_request(GOOD)
        assert (request.id, request.method, request.params) == (7, "task.get", {"task": "nightly"})

    @pytest.mark.parametrize("ident", ["a", "", 0, -1, 2**63 - 1, "é", "7"])
    def test_an_id_is_a_string_or_a_whole_number_and_comes_back_as_it_is(self, ident: str | int) -> None:
        assert parse_request(line(id=ident)).id == ident

    def test_without_an_id_it_is_a_notification_and_without_params_there_are_none(self) -> None:
        request = parse_request(b' {"method": "status", "jsonrpc": "2.0"}\r')
        assert (request.id, request.method, request.params, request.answered) == (None, "status", {}, False)

    def test_null_is_an_id_that_is_answered(self) -> None:
        request = parse_request(b'{"jsonrpc":"2.0","id":null,"method":"status"}')
        assert (request.id, request.answered) == (None, True)

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b" ",
            b"\0",
            b"{",
            b"}",
            b"null x",
            b"{}{}",
            b"[1,]",
            b'{"a":1,}',
            b'{"a"}',
            b"{a:1}",
            b"{'a':1}",
            b"nul",
            b"True",
            b"01",
            b"1.",
            b".5",
            b"+1",
            b"-",
            b"0x10",
            b"1_000",
            b"1e",
            b'"a',
            b'"\\x41"',
            b'"\\u12"',
            b'"\\u12G4"',
            b'"a\tb"',
            b'"a\nb"',
            b'"a\0b"',
            b"// no comments\n{}",
            "\N{NO-BREAK SPACE}{}".encode(),
            "\N{LINE SEPARATOR}{}".encode(),
            "{\N{FULLWIDTH QUOTATION MARK}a:1}".encode(),
            "٣".encode(),
        ],
    )
    def test_what_is_not_json_is_refused(self, data: bytes) -> None:
        problem = refusal_of(data)
        assert problem.code == PARSE_ERROR
        assert problem.message.startswith("not JSON: ")

    @pytest.mark.parametrize(
        "data",
        [
            GOOD.decode().encode("utf-16"),
            GOOD.decode().encode("utf-16-le"),
            GOOD.decode().encode("utf-32"),
            b"\xef\xbb\xbf" + GOOD,
            GOOD.replace(b"nightly", b"\xff\xfe"),
            GOOD.replace(b"nightly", b"night\xc3"),
            GOOD.replace(b"nightly", b"\xc0\xaf"),
            GOOD.replace(b"nightly", b"\xe0\x80\xaf"),
            GOOD.replace(b"nightly", b"\xf8\x88\x80\x80\x80"),
            GOOD.replace(b"nightly", b"\xed\xa0\x80"),
            GOOD.replace(b"nightly", b"\xf4\x90\x80\x80"),
        ],
        ids=[
            "UTF-16 with a mark",
            "UTF-16",
            "UTF-32",
            "UTF-8 with a mark",
            "bytes that are none",
            "cut in a character",
            "overlong /",
            "overlong / of three",
            "five bytes",
            "half a pair",
            "past the last character",
        ],
    )
    def test_what_is_not_plain_utf_8_is_refused(self, data: bytes) -> None:
        assert refusal_of(data).code == PARSE_ERROR

    @pytest.mark.parametrize(
        "text",
        [
            "NaN",
            "Infinity",
            "-Infinity",
            "1e999",
            "-1e999",
            "1e309",
            str(2**63),
            str(-(2**63) - 1),
            "1" * 20,
            "1" * 21,
            "9" * 5000,
            "-" + "9" * 5000,
            "9" * 100_000,
        ],
        ids=lambda text: text[:24],
    )
    def test_a_number_that_cannot_be_kept_is_refused(self, text: str) -> None:
        problem = refusal_of(with_params(text))
        if text.endswith(("NaN", "Infinity")):  # which is no JSON
            assert problem.code == PARSE_ERROR
        else:
            assert (problem.code, problem.data["id"], "number beyond" in problem.message) == (INVALID_PARAMS, 1, True)
        with pytest.raises(ValueError, match=r"number|not JSON"):
            loads(text)

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("-0", 0),
            ("-0.0", -0.0),
            ("9007199254740993", 2**53 + 1),
            (str(2**63 - 1), 2**63 - 1),
            (str(-(2**63)), -(2**63)),
            ("1e3", 1000.0),
            ("1.7976931348623157e308", sys.float_info.max),
            ("5e-324", 5e-324),
            ("1e-999", 0.0),
        ],
    )
    def test_every_other_number_is_taken_as_it_is(self, text: str, value: float) -> None:
        found = value_of(text)
        assert (found, type(found)) == (value, type(value))
        assert math.copysign(1, found) == math.copysign(1, value)

    @pytest.mark.parametrize(
        "text",
        [
            '"\\u0000"',
            '"a\\u0000b"',
            '"\\ud800"',
            '"\\udfff"',
            '"\\udcff"',
            '"\\ude00\\ud83d"',
            '{"\\u0000":1}',
            '{"\\udc80":1}',
            '[[{"a":["\\u0000"]}]]',
        ],
    )
    def test_a_text_that_no_database_can_hold_is_refused(self, text: str) -> None:
        problem = refusal_of(with_params(text))
        assert (problem.code, problem.data["id"]) == (INVALID_PARAMS, 1)
        assert "has a NUL or half a surrogate pair" in problem.message

    @pytest.mark.parametrize("ident", ["9223372036854775808", "1e999", '"\\u0000"', '"\\ud800"'])
    def test_an_id_that_cannot_be_kept_comes_not_back(self, ident: str) -> None:
        problem = refusal_of(b'{"jsonrpc":"2.0","id":%s,"method":"status"}' % ident.encode())
        assert (problem.code, problem.data.get("id")) == (INVALID_REQUEST, None)

    @pytest.mark.parametrize("method", ['"\\u0000"', "9223372036854775808"])
    def test_a_method_that_cannot_be_kept_is_named_with_the_id(self, method: str) -> None:
        problem = refusal_of(b'{"jsonrpc":"2.0","id":7,"method":%s}' % method.encode())
        assert (problem.code, problem.data["id"]) == (INVALID_REQUEST, 7)

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ('"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
            ('"\\\\u0000 \\\\ud800"', "\\u0000 \\ud800"),
            ('"\\u001b[31m\\u202e\\u007f"', "\x1b[31m\u202e\x7f"),
            ('"\\/\\b\\f\\n\\r\\t\\"\\\\"', '/\b\f\n\r\t"\\'),
            ('"\x7f\u2028"', "\x7f\u2028"),
        ],
    )
    def test_any_other_text_is_taken_as_it_is(self, text: str, value: str) -> None:
        assert value_of(text) == value

    def test_nesting_has_a_limit_and_the_line_counts_as_a_whole(self) -> None:
        assert value_of(nested(DEPTH_LIMIT - 2)) is not None
        assert refusal_of(with_params(nested(DEPTH_LIMIT - 1))).message == "not JSON: nested deeper than 64"

    @pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
    def test_nesting_up_to_the_limit_and_beyond(self, opened: str, closed: str) -> None:
        each = opened.count("[") + opened.count("{")
        assert loads(nested(DEPTH_LIMIT // each, opened, closed)) is not None
        for depth in (DEPTH_LIMIT // each + 1, 400, 100_000):
            with pytest.raises(ValueError, match="nested deeper than 64"):
                loads(nested(depth, opened, closed))
            with pytest.raises(ValueError, match=r"nested deeper|no whole value"):
                loads(opened * depth)

    def test_brackets_in_texts_and_side_by_side_are_no_nesting(self) -> None:
        brackets = '[{"' * 1000 + "\\\\\\" + '"'
        assert loads(dumps(brackets)) == brackets
        assert loads(f"[{','.join(['[{}]'] * 1000)}]") == [[{}]] * 1000

    @pytest.mark.parametrize(
        "data",
        [
            b'{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}',
            b'{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}',
            with_params('{"task":"a","task":"a"}'),
            with_params('[{"a":{"b":1,"\\u0062":2}}]'),
        ],
    )
    def test_a_key_twice_is_refused(self, data: bytes) -> None:
        problem = refusal_of(data)
        assert problem.code == PARSE_ERROR
        assert "stands twice" in problem.message

    @pytest.mark.parametrize(
        "hostile",
        [f"[{'[],' * 300_000}[[]]x", "[" + '"[",' * 200_000, f"{' ' * 1_000_000}x", f"1{' ' * 1_000_000}x"],
        ids=["brackets", "brackets in texts", "blanks before", "blanks after"],
    )
    def test_no_step_is_taken_in_python_for_each_character(self, hostile: str) -> None:
        assert steps_of(hostile) < 100

    def test_a_key_twice_among_very_many_is_found_in_time(self) -> None:
        keys = ",".join(f'"{number:x}":0' for number in range(90_000))
        started = time.process_time()
        with pytest.raises(ValueError, match="key '15f8f' stands twice"):
            loads(f'{{{keys},"15f8f":0}}')
        assert time.process_time() - started < 5  # a comparison of each with each takes minutes

    @pytest.mark.parametrize(
        ("data", "message", "ident"),
        [
            (b"[]", "a request is an object", None),
            (b"[%s]" % GOOD, "a request is an object", None),
            (b"null", "a request is an object", None),
            (b'"status"', "a request is an object", None),
            (b"7", "a request is an object", None),
            (b"{}", 'jsonrpc: must be "2.0"', None),
            (line(jsonrpc=None), 'jsonrpc: must be "2.0"', 7),
            (line(jsonrpc=2.0), 'jsonrpc: must be "2.0"', 7),
            (line(jsonrpc="1.0"), 'jsonrpc: must be "2.0"', 7),
            (line(jsonrpc=["2.0"]), 'jsonrpc: must be "2.0"', 7),
            (line(method=None), "method: must be a string", 7),
            (line(method=7), "method: must be a string", 7),
            (line(method=["status"]), "method: must be a string", 7),
            (line(params=[]), "params: must be an object", 7),
            (line(params="x"), "params: must be an object", 7),
            (line(params=0), "params: must be an object", 7),
            (line(params=False), "params: must be an object", 7),
            (GOOD.replace(b'{"task":"nightly"}', b"null"), "params: must be an object", 7),
            (line(id=True), "id: must be a string or a whole number", None),
            (line(id=False), "id: must be a string or a whole number", None),
            (line(id=1.0), "id: must be a string or a whole number", None),
            (line(id=[1]), "id: must be a string or a whole number", None),
            (line(id={}), "id: must be a string or a whole number", None),
            (line(id=True, jsonrpc="1.0"), "id: must be a string or a whole number", None),
            (line(id=1.5, user="root"), "id: must be a string or a whole number", None),
            (line(user="root"), "a request has no field 'user'", 7),
            (line(Method="status"), "a request has no field 'Method'", 7),
            (line(zz=1, aa=2), "a request has no field 'aa'", 7),
            (line(result={}), "a request has no field 'result'", 7),
        ],
    )
    def test_a_wrong_field_is_named_and_the_caller_s_id_comes_back_with_it(
        self, data: bytes, message: str, ident: object
    ) -> None:
        problem = refusal_of(data)
        assert (problem.code, problem.message) == (INVALID_REQUEST, message)
        assert problem.data.get("id") is ident if ident is None else problem.data["id"] == ident

    @pytest.mark.parametrize(
        "data",
        [
            line(**{"x" * 900_000: 1}),
            line(**{"\x01" * 150_000: 1}),
            with_params('{"%s":1,"%s":1}' % (("y" * 400_000,) * 2)),
        ],
    )
    def test_a_refusal_does_not_say_a_long_name_back(self, data: bytes) -> None:
        assert len(control.refusal(None, refusal_of(data))) < 1000


def chunks_of(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return (data[start:end] for start, end in pairwise(places))


def cut(data: Iterator[bytes] | list[bytes], limit: int) -> list[bytes | int]:
    """The lines in what arrives, up to the code of the refusal that ends it."""
    lines, found = Lines(limit), list[bytes | int]()
    try:
        for chunk in data:
            found += lines.feed(chunk)
    except JamaintError as problem:
        found.append(problem.code if problem.data == {"limit": limit} else 0)
    return found


class TestLines:
    """Bytes as they arrive."""

    @pytest.mark.parametrize(
        ("size", "found"), [(LINE_LIMIT - 1, None), (LINE_LIMIT, None), (LINE_LIMIT + 1, TOO_LARGE)]
    )
    def test_the_limit_is_to_the_byte_in_one_chunk_and_in_many(self, size: int, found: int | None) -> None:
        data = b"x" * size
        wanted = [data, b"next"] if found is None else [found]
        for step in (size + 10, 65_536, 4099):
            arriving = [(data + b"\nnext\n")[at : at + step] for at in range(0, size + 6, step)]
            assert cut(arriving, LINE_LIMIT) == wanted

    @pytest.mark.parametrize("size", [6, 7, 8, 9])
    def test_the_limit_byte_by_byte(self, size: int) -> None:
        arriving = [bytes([byte]) for byte in b"ab\n" + b"x" * size + b"\ncd\n"]
        assert cut(arriving, 8) == [b"ab", b"x" * size, b"cd"][: 3 if size <= 8 else 1] + (
            [TOO_LARGE] if size > 8 else []
        )

    @given(
        data=st.lists(st.binary(max_size=12) | st.sampled_from([b"\n", b"x" * 8 + b"\n", b"x" * 9 + b"\n", b"\r\n"])),
        cuts=st.lists(st.integers(0, 10_000), max_size=12),
    )
    @settings(derandomize=True, deadline=None, max_examples=300)
    def test_however_the_bytes_are_cut_the_verdict_is_the_same(self, data: list[bytes], cuts: list[int]) -> None:
        whole = b"".join(data)
        wanted = list[bytes | int]()
        for part in whole.split(b"\n")[:-1]:
            if len(part) > 8:
                break
            wanted.append(part)
        if any(len(part) > 8 for part in whole.split(b"\n")):
            wanted.append(TOO_LARGE)
        assert cut([whole], 8) == wanted
        assert cut(chunks_of(whole, cuts), 8) == wanted

    def test_a_line_without_end_is_not_kept(self) -> None:
        lines = Lines(100)
        assert list(lines.feed(b"x" * 100)) == []
        for _ in range(3):
            with pytest.raises(JamaintError, match=r"^a line may have at most 100 bytes$"):
                list(lines.feed(b"x" * 1000))

    def test_after_a_line_that_is_too_long_its_rest_is_not_taken_for_a_line(self) -> None:
        lines = Lines(100)
        for chunk in (b"x" * 101, b'xxx\n{"method":"daemon.drain"}\n', b"\n", b""):
            with pytest.raises(JamaintError, match=r"^a line may have at most 100 bytes$"):
                list(lines.feed(chunk))

    def test_what_was_not_asked_for_at_once_is_not_lost_and_not_joined(self) -> None:
        lines = Lines()
        assert next(lines.feed(b"one\ntwo\nthr")) == b"one"
        assert list(lines.feed(b"ee\n")) == [b"two", b"three"]

    def test_a_half_line_is_never_given_out(self) -> None:
        lines = Lines()
        assert list(lines.feed(GOOD)) == []
        assert list(lines.feed(b"")) == []
        assert list(lines.feed(b"\n")) == [GOOD]


NAMES = st.text(st.characters(exclude_categories=()).filter(lambda char: not "\ud800" <= char <= "\udc7f"))
"""Any text, and the halves of pairs that os.fsdecode makes of bytes that are not UTF-8."""
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | NAMES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


class TestValues:
    """JSON out and in."""

    @given(VALUES)
    @settings(derandomize=True, deadline=None, max_examples=300)
    def test_whatever_goes_out_comes_back_on_one_line_of_utf_8(self, value: Any) -> None:
        text = dumps(value)
        assert "\n" not in text
        assert loads(text.encode("utf-8").decode("utf-8")) == value
        assert json.loads(text) == value

    @given(st.binary(max_size=40))
    @settings(derandomize=True, deadline=None)
    def test_any_name_of_a_file_comes_back_byte_for_byte(self, name: bytes) -> None:
        (back,) = loads(dumps([name.decode("utf-8", "surrogateescape")]))
        assert back.encode("utf-8", "surrogateescape") == name

    def test_text_stays_readable_and_only_what_must_be_is_escaped(self) -> None:
        assert dumps({"name": "été 漢字 \N{GRINNING FACE}", "bytes": "\udcff", "bell": "\a"}) == (
            '{"name":"été 漢字 \N{GRINNING FACE}","bytes":"\\udcff","bell":"\\u0007"}'
        )

    @pytest.mark.parametrize("value", [math.nan, math.inf, [-math.inf], {"a": {"b": math.nan}}])
    def test_a_number_that_is_not_json_does_not_go_out(self, value: Any) -> None:
        with pytest.raises(ValueError, match="JSON"):
            dumps(value)

    @pytest.mark.parametrize("value", [b"bytes", {1, 2}, object(), {"a": 1j}, {("a",): 1}])
    def test_what_has_no_json_does_not_go_out(self, value: Any) -> None:
        with pytest.raises(TypeError):
            dumps(value)

    @pytest.mark.parametrize("text", ["1 2", "[] []", "{} x", '"a""b"', "\f1", "1\v", "\u00a01"])
    def test_nothing_may_stand_beside_the_value(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"follows|whole value"):
            loads(text)

    @pytest.mark.parametrize("text", [" 1", "1 ", "\t\r\n 1 \n\r\t"])
    def test_but_blanks(self, text: str) -> None:
        assert loads(text) == 1


class TestReplies:
    """What goes to a caller, read as a caller does."""

    def test_a_result(self) -> None:
        reply = parse_reply(control.reply("a", {"items": [1, None]}).rstrip(b"\n"))
        assert (reply.id, reply.result, reply.error, reply.event) == ("a", {"items": [1, None]}, None, None)

    def test_no_result_is_a_result_too(self) -> None:
        assert control.reply(1, None) == b'{"jsonrpc":"2.0","id":1,"result":null}\n'
        assert parse_reply(control.reply(1, None)).result is None

    def test_a_refusal(self) -> None:
        reply = parse_reply(control.refusal(None, JamaintError(CONFLICT, "there is one already", {"name": "\udcff"})))
        assert reply.error is not None
        assert (reply.id, reply.error.code, reply.error.message) == (None, CONFLICT, "there is one already")
        assert reply.error.data == {"name": "\udcff"}

    def test_an_event(self) -> None:
        reply = parse_reply(control.event({"event": "window.opened"}))
        assert (reply.id, reply.event, reply.result, reply.error) == (None, {"event": "window.opened"}, None, None)

    def test_a_request_is_read_as_it_was_written(self) -> None:
        request = parse_request(control.request(3, "task.get", {"task": "é"}).rstrip(b"\n"))
        assert (request.id, request.method, request.params) == (3, "task.get", {"task": "é"})

    def test_hostile_names_stay_on_one_line_of_valid_json(self) -> None:
        names = ["\n", "\r\n", "\x1b[2J", "\u2028", "\udcff\udc80", '"},{"', "\\", "\0", "\u202e", "x" * 255]
        data = control.reply(1, names)
        assert data.count(b"\n") == 1
        assert data.endswith(b"\n")
        assert json.loads(data)["result"] == names

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"HTTP/1.1 400 Bad Request",
            b"\xff",
            b"[]",
            b"7",
            b"null",
            b'"event"',
            b"{}",
            b'{"id":1}',
            b'{"result":1}',
            b'{"id":1,"error":null}',
            b'{"id":1,"error":"no"}',
            b'{"id":1,"error":[]}',
            b'{"id":1,"error":{"code":"x","message":"y"}}',
            b'{"id":1,"error":{"code":null,"message":"y"}}',
            b'{"id":1,"error":{"message":"y"}}',
            b'{"id":1,"error":{"code":1}}',
            b'{"id":1,"error":{"code":1,"message":"y","data":"z"}}',
            b'{"id":1,"error":{"code":1,"message":"y","data":[1]}}',
            b'{"id":1,"error":{"code":1e999,"message":"y"}}',
            b'{"error":{"code":1,"message":"y"}}',
            b'{"method":"event"}',
            b'{"method":"event","params":null}',
            b'{"method":"event","params":[1]}',
            b'{"method":"event","params":7}',
            b'{"id":1,"result":NaN}',
            b'{"id":1,"result":1,"result":2}',
            b"[" * 100_000,
        ],
        ids=lambda data: data[:40].decode("latin-1"),
    )
    def test_what_no_daemon_of_ours_would_send_is_one_refusal(self, data: bytes) -> None:
        with pytest.raises(JamaintError, match="does not speak this protocol") as refused:
            parse_reply(data)
        assert refused.value.code == INTERNAL


SEEDS = [
    GOOD,
    line(id="é\u202e", params={"at": 1.5e10, "wait": True, "options": {"a": [1, -2, None, {"b": "c"}]}}),
    b'{"jsonrpc":"2.0","method":"status"}',
    control.refusal(1, JamaintError(CONFLICT, "there is one already", {"name": "\udcff"})).rstrip(b"\n"),
    control.event({"event": "execution.progress", "at": "2026-11-24T02:00:00.000Z", "execution": {"id": "x"}}).rstrip(),
]
TOKENS = [
    *(b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"\\u0000", b"\\ud800", b"\\udc00", b"NaN", b"Infinity"),
    *(b"1e999", b"-", b"9" * 30, b"null", b"true", b"\xff", b"\xc3", b"\xef\xbb\xbf", b"\0", b"\x7f", b"\t", b"\r"),
    *(b'"id":1,', b'"jsonrpc":"2.0",', b'"params":{},', b'"error":{},', b"[" * 70, b'{"a":' * 70, b"\xed\xa0\x80"),
]


def mutated(random: Random) -> bytes:
    data = bytearray(random.choice(SEEDS))
    for _ in range(random.randrange(1, 5)):
        at, kind = random.randrange(len(data) + 1), random.randrange(5)
        if kind == 0:
            data[at:at] = random.choice(TOKENS)
        elif kind == 1:
            del data[at : at + random.randrange(1, 9)]
        elif kind == 2:
            data[at : at + 1] = bytes([random.randrange(256)])
        elif kind == 3:
            data[at:at] = data[random.randrange(len(data) + 1) :][:20]
        else:
            del data[at:]
    return bytes(data)


def verdict_on(data: bytes, as_request: bool) -> JamaintError | control.Request | control.Reply:
    try:
        return parse_request(data) if as_request else parse_reply(data)
    except JamaintError as problem:
        return problem


def test_a_hundred_thousand_mutated_lines_are_taken_or_refused_and_nothing_else() -> None:
    random, refused = Random(20261124), 0
    for number in range(100_000):
        found = verdict_on(mutated(random), as_request=number % 4 > 0)
        if isinstance(found, JamaintError):
            refused += 1
            assert found.code in (PARSE_ERROR, INVALID_REQUEST, INVALID_PARAMS, INTERNAL)
            assert "\n" not in found.message
            assert len(found.message) < 300
        elif isinstance(found, control.Request):
            assert isinstance(found.method, str)
            assert dumps(found.params).encode("utf-8")
    assert 50_000 < refused < 98_000


def in_a_new_python(code: str) -> str:
    return subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, capture_output=True, text=True).stdout


SOURCE = control.__file__.removesuffix("/jamaint/protocol/control.py")


def test_importing_the_wire_imports_nothing_slow() -> None:
    """The client starts in milliseconds; each of these would cost more than all it does."""
    code = f"import sys; sys.path.insert(0, {SOURCE!r}); import jamaint.protocol.control; print(*sys.modules)"
    loaded = set(in_a_new_python(code).split())
    assert "jamaint.protocol.control" in loaded
    assert loaded.isdisjoint({"json", "json.decoder", "re", "typing", "collections", "dataclasses", "enum", "datetime"})


def test_the_verdict_is_the_same_where_nobody_has_imported_json() -> None:
    """The C scanner takes its error from json.decoder, which the client does not import."""
    lines = ["{", '"a', '"\\x"', "[1,]", "1 2", "NaN", '{"a":1,"a":2}', "", "[" * 5000, '"\\ud800"', "1e999", "[1]"]
    code = (
        f"import sys; sys.path.insert(0, {SOURCE!r})\n"
        "from jamaint.protocol.control import loads\n"
        f"for text in {lines!r}:\n"
        "    try: print('taken', ascii(loads(text)))\n"
        "    except ValueError: print('refused')\n"
        "print('json.decoder' in sys.modules)\n"
    )

    def verdict(text: str) -> str:
        try:
            return f"taken {loads(text)!a}"
        except ValueError:
            return "refused"

    assert in_a_new_python(code).splitlines() == [*map(verdict, lines), "False"]
