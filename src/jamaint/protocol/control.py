"""The control protocol without I/O: bytes <-> lines <-> request, reply, event, refusal (JSON-RPC 2.0).

A whole `jamaintctl status` may take little more than Python's own start, and this module is on its path: `import json`
and `import typing` cost eight and nine milliseconds of eleven (both compile regular expressions). So the C parts of
the json package are used directly, as CPython has had them since 3.0, and typing is there for the type checker only.
"""

from __future__ import annotations

from _json import encode_basestring, make_encoder, make_scanner

from jamaint.errors import INTERNAL, INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, TOO_LARGE, JamaintError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

LINE_LIMIT = 1 << 20
DEPTH_LIMIT = 64
INTEGER_LIMIT = 1 << 63
DIGITS_LIMIT = 20
SHOWN_LIMIT = 60
PATH_LIMIT = 120
BLANKS = " \t\n\r"


class Request:
    """One call. A notification, which has no `id` at all, is carried out and not `answered`; `"id": null` is an id."""

    __slots__ = ("answered", "id", "method", "params")

    def __init__(self, ident: Any, method: str, params: dict[str, Any], answered: bool = True) -> None:
        self.id = ident
        self.answered = answered
        self.method = method
        self.params = params


class Reply:
    """What came back: the result of call `id`, or its refusal; an event has `id` None and `event` set."""

    __slots__ = ("error", "event", "id", "result")

    def __init__(
        self, ident: Any, result: Any = None, error: JamaintError | None = None, event: dict[str, Any] | None = None
    ) -> None:
        self.id = ident
        self.result = result
        self.error = error
        self.event = event


class Lines:
    """Cuts a byte stream into lines of at most `limit` bytes, however it arrives."""

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._seen = 0
        self._broken = False

    @property
    def begun(self) -> int:
        """Bytes that are kept of a line that has not ended."""
        return len(self._rest)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yields each whole line without its newline. Raises JamaintError(TOO_LARGE) once a line passes the limit.

        After that it always does: what follows cannot be told from the rest of that line.
        """
        self._rest += chunk
        while not self._broken and (end := self._rest.find(b"\n", self._seen)) >= 0:
            if end > self._limit:
                break
            line = bytes(self._rest[:end])
            del self._rest[: end + 1]
            self._seen = 0
            yield line
        self._seen = len(self._rest)
        if self._broken or len(self._rest) > self._limit:
            self._broken = True
            self._rest.clear()
            raise JamaintError(TOO_LARGE, f"a line may have at most {self._limit} bytes", {"limit": self._limit})


def loads(text: str) -> Any:
    """Strict JSON: raises ValueError for anything else (NaN, a key twice, a huge number, nesting over 64, a NUL)."""
    return _scanned(text, _SCAN)


def _scanned(text: str, scan: Any) -> Any:
    text = text.strip(BLANKS)
    try:
        value, end = scan(text, 0)
    except StopIteration as stop:
        raise ValueError(f"no whole value at character {stop.value}") from None
    except SystemError:
        # The scanner takes its error from json.decoder, and fails without one where nobody has imported that.
        raise ValueError("no whole value") from None
    except RecursionError:
        raise ValueError(f"nested deeper than {DEPTH_LIMIT}") from None
    if end != len(text):
        raise ValueError(f"something follows the value at character {end}")
    if text.count("[") + text.count("{") > DEPTH_LIMIT:
        _check_depth(value)
    return value


def dumps(value: Any) -> str:
    """One line of JSON; text stays readable UTF-8, file names that are not UTF-8 come as \\udcXX escapes."""
    text = "".join(_ENCODE(value, 0))
    return text if text.isascii() or not _has_surrogate(text) else _escape_surrogates(text)


def parse_request(line: bytes) -> Request:
    """Takes no message at its word. Raises JamaintError with PARSE_ERROR, INVALID_REQUEST or INVALID_PARAMS.

    What is JSON, and cannot be kept (a number beyond 64 bits, a NUL, half a surrogate pair), is refused with its id.
    """
    value, unfit = _value_of(line)
    if not isinstance(value, dict):
        raise JamaintError(INVALID_REQUEST, "a request is an object")
    ident, method, params = value.get("id"), value.get("method"), value.get("params", {})
    if isinstance(ident, bool) or not isinstance(ident, (str, int, type(None))) or _unfit(ident, "id") is not None:
        raise JamaintError(INVALID_REQUEST, "id: must be a string or a whole number")
    if unfit is not None and unfit[0].startswith("params."):
        path, problem = unfit[0].removeprefix("params."), unfit[1]
        raise JamaintError(INVALID_PARAMS, f"{path}: {problem}", {"path": path, "problem": problem, "id": ident})
    if unfit is not None:
        raise JamaintError(INVALID_REQUEST, f"{unfit[0]}: {unfit[1]}", {"id": ident})
    if value.get("jsonrpc") != "2.0":
        raise JamaintError(INVALID_REQUEST, 'jsonrpc: must be "2.0"', {"id": ident})
    unknown = value.keys() - {"jsonrpc", "id", "method", "params"}
    if unknown:
        raise JamaintError(INVALID_REQUEST, f"a request has no field {_shown(min(unknown))}", {"id": ident})
    if not isinstance(method, str):
        raise JamaintError(INVALID_REQUEST, "method: must be a string", {"id": ident})
    if not isinstance(params, dict):
        raise JamaintError(INVALID_REQUEST, "params: must be an object", {"id": ident})
    return Request(ident, method, params, answered="id" in value)


def _value_of(line: bytes) -> tuple[Any, tuple[str, str] | None]:
    """Return the value of a line, and where in it something cannot be kept, and why. Raises
    JamaintError(PARSE_ERROR)."""
    try:
        text = line.decode("utf-8")
        try:
            value, looks = loads(text), "\\u" in text
        except _BeyondError:
            value, looks = _scanned(text, _SCAN_ALL), True
    except ValueError as error:  # UnicodeDecodeError is one
        raise JamaintError(PARSE_ERROR, f"not JSON: {_first_line(error)}") from None
    return value, _unfit(value, "") if looks else None


def request(ident: int, method: str, params: dict[str, Any]) -> bytes:
    """The line of a call."""
    return _line({"jsonrpc": "2.0", "id": ident, "method": method, "params": params})


def reply(ident: Any, result: Any) -> bytes:
    """The line that answers a call."""
    return _line({"jsonrpc": "2.0", "id": ident, "result": result})


def refusal(ident: Any, problem: JamaintError) -> bytes:
    """The line that refuses a call."""
    error = {"code": problem.code, "message": problem.message, "data": problem.data}
    return _line({"jsonrpc": "2.0", "id": ident, "error": error})


def event(params: dict[str, Any]) -> bytes:
    """The line of a pushed event."""
    return _line({"jsonrpc": "2.0", "method": "event", "params": params})


def parse_reply(line: bytes) -> Reply:
    """What a client reads: raises JamaintError(INTERNAL) for a line no daemon of ours would send."""
    try:
        value = loads(line.decode("utf-8"))
        if value.get("method") == "event":
            return Reply(None, event=dict(value["params"]))
        if "error" in value:
            error = value["error"]
            return Reply(value["id"], error=JamaintError(int(error["code"]), str(error["message"]), error.get("data")))
        return Reply(value["id"], result=value["result"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise JamaintError(INTERNAL, "the other side of the socket does not speak this protocol") from None


def _line(value: dict[str, Any]) -> bytes:
    return (dumps(value) + "\n").encode("utf-8")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, _ in pairs if found.pop(key, pairs) is pairs)  # the first to be gone already
        raise ValueError(f"key {_shown(twice)} stands twice")
    return found


def _unfit(value: Any, path: str) -> tuple[str, str] | None:
    """Return where, and why, something cannot be kept: no text of a database holds a NUL or half a surrogate pair."""
    if isinstance(value, str):
        bad = "\0" in value or _has_surrogate(value)
        return (path, "has a NUL or half a surrogate pair") if bad else None
    if isinstance(value, _Beyond):
        return path, value.why
    if isinstance(value, dict):
        for key, item in value.items():
            if _unfit(key, path) is not None:
                return f"{path}.{_shown(key)}".lstrip("."), "has a NUL or half a surrogate pair in its name"
            if (found := _unfit(item, f"{path}.{key if key.isidentifier() else _shown(key)}".lstrip("."))) is not None:
                return found[0][:PATH_LIMIT], found[1]
    elif isinstance(value, list):
        for number, item in enumerate(value):
            if (found := _unfit(item, f"{path}[{number}]")) is not None:
                return found
    return None


class _BeyondError(ValueError):
    """A number that is JSON, and too large for us."""


class _Beyond:
    """The place of such a number in a value that is looked through for it."""

    def __init__(self, why: str) -> None:
        self.why = why


def _whole(digits: str) -> int:
    value = int(digits) if len(digits) <= DIGITS_LIMIT else INTEGER_LIMIT
    if not -INTEGER_LIMIT <= value < INTEGER_LIMIT:
        raise _BeyondError("a number beyond 64 bits")
    return value


def _real(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise _BeyondError("a number beyond what a double holds")
    return value


def _whole_or_beyond(digits: str) -> Any:
    try:
        return _whole(digits)
    except _BeyondError as error:
        return _Beyond(f"is {error}")


def _real_or_beyond(digits: str) -> Any:
    try:
        return _real(digits)
    except _BeyondError as error:
        return _Beyond(f"is {error}")


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _unknown(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} cannot go on the wire")


class _Context:
    """What the C scanner asks its decoder for."""

    strict = True
    object_hook = None
    object_pairs_hook = staticmethod(_pairs)
    parse_float = staticmethod(_real)
    parse_int = staticmethod(_whole)
    parse_constant = staticmethod(_constant)


class _WholeContext(_Context):
    """As _Context; numbers that are too large have their place."""

    parse_float = staticmethod(_real_or_beyond)
    parse_int = staticmethod(_whole_or_beyond)


_SCAN_ALL = make_scanner(_WholeContext())  # type: ignore[arg-type]  # as below
_SCAN = make_scanner(_Context())  # type: ignore[arg-type]  # typeshed wants a scanner here; CPython takes a decoder
_ENCODE = make_encoder(None, _unknown, encode_basestring, None, ":", ",", False, False, False)


def _check_depth(value: Any) -> None:
    """Goes down level by level; the scanner's own limit has kept out what is deeper than Python's stack."""
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(DEPTH_LIMIT):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return
    raise ValueError(f"nested deeper than {DEPTH_LIMIT}")


def _has_surrogate(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _escape_surrogates(text: str) -> str:
    return "".join(f"\\u{ord(char):04x}" if "\ud800" <= char <= "\udfff" else char for char in text)


def _shown(name: str) -> str:
    """A name out of a line, short and on one line, as it may be said back."""
    return repr(name if len(name) <= SHOWN_LIMIT else f"{name[:SHOWN_LIMIT]}…")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200]
