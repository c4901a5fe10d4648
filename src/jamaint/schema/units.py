"""Units: what people write for lengths of time, shares, sizes and counts, as numbers. Pure; raises ValueError.

YAML 1.1 reads `2:30` as 150, `010` as 8 and `on` as true. Here such a scalar stays the text that it is (see
`documents`), so a key that wants text gets the right value, and one that wants a number says below what to write.
"""

import re
from typing import Any

from jamaint.core.secrets import cleaned

MINUTE, HOUR, DAY, WEEK = 60.0, 3600.0, 86400.0, 604800.0
SECONDS = {"ms": 0.001, "s": 1.0, "m": MINUTE, "h": HOUR, "d": DAY, "w": WEEK}
MEANT = {
    "sec": "s", "secs": "s", "second": "s", "seconds": "s", "min": "m", "mins": "m", "minute": "m", "minutes": "m",
    "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "day": "d", "days": "d", "week": "w", "weeks": "w",
}  # fmt: skip
LONGEST_SECONDS = 36525 * DAY
BYTES = {
    "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
    "TiB": 1 << 40, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
}  # fmt: skip
YES, NO = frozenset({"yes", "on", "y", "true"}), frozenset({"no", "off", "n", "false"})

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([^\s0-9.]*)\s*")
_CLOCK = re.compile(r"([0-9]{1,4}):([0-9]{2})")


def duration_seconds(value: Any) -> float:
    """Seconds, more than 0, from `90s`, `30m`, `1h30m`, `7d`. A plain number says no unit and is refused."""
    if _is_number(value):
        raise ValueError(f"needs a unit: {shown(value)}s, {shown(value)}m, {shown(value)}h or {shown(value)}d")
    if not isinstance(value, str):
        raise ValueError(f"must be a length of time, such as 30m or 7d, not {shown(value)}")
    text = value.strip()
    clock = _CLOCK.fullmatch(text)
    if clock:
        high, low = int(clock[1]), int(clock[2])
        raise ValueError(f"{text} could be hours or minutes: write {high}h{low}m or {high}m{low}s")
    seconds = _sum_of_parts(text)
    if not 0 < seconds <= LONGEST_SECONDS:
        raise ValueError(f"must be more than nothing and at most a hundred years, not {shown(text)}")
    return seconds


def _sum_of_parts(text: str) -> float:
    if text.startswith("-"):
        raise ValueError(f"must not be negative: {shown(text)}")
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text):
        raise ValueError(f"must be a length of time, such as 30m, 1h30m or 7d, not {shown(text)}")
    units = [unit for _, unit in parts]
    for number, unit in parts:
        if unit not in SECONDS:
            raise ValueError(_unknown_unit(number, unit))
    lengths = [SECONDS[unit] for unit in units]
    if lengths != sorted(set(lengths), reverse=True):
        raise ValueError(f"{shown(text)} has a unit twice or a small one first: write it as 1d12h30m")
    return float(sum(float(number) * SECONDS[unit] for number, unit in parts))


def _unknown_unit(number: str, unit: str) -> str:
    if not unit:
        number = shown(number)
        return f"needs a unit: {number}s, {number}m, {number}h or {number}d"
    meant = MEANT.get(unit.lower()) or (unit.lower() if unit.lower() in ("s", "h", "d", "w") else None)
    if meant:
        return f"the unit {unit} is not known: write {shown(number + meant)}"
    return f"the unit {shown(unit)} is not known: there are ms, s, m (minutes), h, d, w"


def whole_minutes(value: Any, least: int, most: int) -> int:
    """Minutes from a plain whole number, or from a length of time that is whole minutes (`2h`)."""
    clock = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if clock:
        minutes = int(clock[1]) * 60 + int(clock[2])
        raise ValueError(f"must be whole minutes: write {minutes} if {value} is hours and minutes")
    if isinstance(value, str) and value.strip()[-1:].isalpha():
        minutes_found = duration_seconds(value) / MINUTE
        if minutes_found != int(minutes_found):
            raise ValueError(f"must be whole minutes, not {shown(value)}")
        value = int(minutes_found)
    return whole(value, least, most, "minutes")


def whole(value: Any, least: int, most: int, unit: str = "") -> int:
    """A whole number from `least` to `most`."""
    kind = f"a whole number of {unit}" if unit else "a whole number"
    if isinstance(value, str):
        raise ValueError(f"must be {kind}{_instead(value)}")
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"must be {kind}, not {shown(value)}")
    if value < least:
        raise ValueError(f"must be at least {least}, not {value}")
    if value > most:
        raise ValueError(f"must be at most {most}, not {value}")
    return value


def _instead(text: str) -> str:
    digits = text.strip().replace("_", "")
    if re.fullmatch(r"0[0-7]{1,17}", digits):
        return f": {text} is {int(digits, 8)} to some programs and {int(digits)} to others, write the one you mean"
    if re.fullmatch(r"\+?[0-9]{1,18}", digits):
        return f": write {int(digits)} without quotes" if digits == text else f": write {int(digits)} for {text}"
    return f", not {shown(text)}"


def positive(value: Any) -> float:
    """A number above 0, whole or not."""
    if not _is_number(value) or not value > 0:
        raise ValueError(f"must be a number above 0, not {shown(value)}")
    return float(value)


def share(value: Any) -> float:
    """0..1 from `25%`."""
    if _is_number(value):
        percent = value * 100 if isinstance(value, float) and 0 < value < 1 else value
        raise ValueError(f"needs a percent sign: {percent:g}%")
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*%", value.strip()) if isinstance(value, str) else None
    if not found:
        raise ValueError(f"must be a percentage, such as 25%, not {shown(value)}")
    if float(found[1]) > 100:
        raise ValueError(f"must be at most 100%, not {shown(value)}")
    return float(found[1]) / 100


def size_bytes(value: Any) -> int:
    """Bytes, more than 0, from `500MB` (a power of 1000), `500MiB` or `500M` (of 1024)."""
    if _is_number(value):
        raise ValueError(f"needs a unit: {shown(value)}MiB, {shown(value)}GiB …")
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)", value.strip()) if isinstance(value, str) else None
    if not found:
        raise ValueError(f"must be a size, such as 500MiB or 2GB, not {shown(value)}")
    if found[2] == "k":  # of 1024 to logrotate, of 1000 to others: whoever writes it has to say
        raise ValueError(f"the unit k can mean two things: write {found[1]}K (of 1024) or {found[1]}kB (of 1000)")
    if found[2] not in BYTES:
        known = "B, kB, MB, GB, TB, KiB, MiB, GiB, TiB, K, M, G, T"
        raise ValueError(f"the unit {shown(found[2])} is not known: there are {known}")
    size = float(found[1]) * BYTES[found[2]]
    if not 1 <= size < 1 << 63:
        raise ValueError(f"must be more than nothing and less than 8 EiB, not {shown(value)}")
    return int(size)


def flag(value: Any) -> bool:
    """True or false, and nothing that some YAML readers take for it."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in YES | NO:
        raise ValueError(f"must be true or false: write {'true' if value.lower() in YES else 'false'} for {value}")
    raise ValueError(f"must be true or false, not {shown(value)}")


def text(value: Any) -> str:
    """Text that is not empty. A number or truth value must stand in quotes to be text."""
    if isinstance(value, float):  # 1.50 is 1.5 by now, and what was written is gone
        raise ValueError("must be text: put the number in quotes")
    if isinstance(value, bool | int):
        raise ValueError(f'must be text: put it in quotes, "{shown(value)}"')
    if not isinstance(value, str):
        raise ValueError(f"must be text, not {shown(value)}")
    if not value.strip():
        raise ValueError("must not be empty")
    return value


def argument(value: Any) -> str:
    """Text for a command's argument or environment: may be empty, and may be a whole number, which has one spelling."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if value == "" else text(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown(value: Any) -> str:
    """What `value` is, in a person's words, and short; of an address without its password."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        value = cleaned(value)
        return value if 0 < len(value) <= 60 and value.isprintable() else repr(value[:60])
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return "nothing" if value is None else str(value)


def kind_of(value: Any) -> str:
    """What sort of value it is; not the value, which may be an address with a password in it."""
    return "text" if isinstance(value, str) else shown(value)
