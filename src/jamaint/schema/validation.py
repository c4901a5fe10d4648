"""Validate a value by its model, and turn pydantic's errors into messages for people."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from jamaint.schema.errors import Flaw, Path, closest, did_you_mean
from jamaint.schema.fields import Section
from jamaint.schema.units import kind_of, shown

M = TypeVar("M", bound=Section)


def read(model: type[M], value: Any, context: Any = None, at: Path = ()) -> tuple[M | None, list[Flaw]]:
    """The model made from `value`, or None and every flaw of it; their paths begin with `at`."""
    try:
        return model.model_validate(value, context=context), []
    except ValidationError as error:
        flaws = _flaws(model, value, error.errors(include_url=False))
        return None, [flaw._replace(path=(*at, *flaw.path)) for flaw in flaws]


def exactly_one(value: Any, choices: Sequence[str], flaws: Sequence[Flaw], at: Path) -> Iterator[Flaw]:
    """The flaw of a mapping in which not exactly one of `choices` stands; a misspelled one counts as standing there."""
    if not isinstance(value, Mapping):
        return
    there = [choice for choice in choices if value.get(choice) is not None]
    names = f"{', '.join(choices[:-1])} or {choices[-1]}"
    if len(there) > 1:
        yield Flaw(at, f"must have one of {names}, and has {' and '.join(there)}")
    elif not there and not any(flaw.unknown and flaw.path[:-1] == at for flaw in flaws):
        yield Flaw(at, f"must have one of {names}, and has none")


def misspelled(flaws: Sequence[Flaw], at: Path, key: str) -> bool:
    """Whether a key that is missing in the mapping at `at` may stand there, misspelled beyond guessing or not."""
    return any(flaw.unknown and flaw.path[:-1] == at and flaw.meant in (None, key) for flaw in flaws)


def unknown_key(key: str, model: type[Section], there: Mapping[str, Any], at: Path) -> Flaw:
    """What to say of a key that `model` does not have; `there` is the mapping in which it stands."""
    if key in model.LATER:
        return Flaw((*at, key), model.LATER[key], at_key=True, unknown=True, meant=key)
    word = model.WORD
    meant = closest(key, [name for name in model.keywords() if name not in there])
    hint = f"did you mean {meant}?" if meant else did_you_mean("", model.keywords())
    return Flaw((*at, key), f"unknown {word}: {hint}", at_key=True, unknown=True, meant=meant)


def _flaws(model: type[Section], value: Any, errors: Sequence[ErrorDetails]) -> Iterator[Flaw]:
    strangers = [error["loc"] for error in errors if error["type"] == "extra_forbidden"]
    unknown = [
        unknown_key(str(path[-1]), _model_at(model, path[:-1]), _at(value, path[:-1]), path[:-1]) for path in strangers
    ]
    yield from unknown
    for error in errors:
        path = error["loc"]
        if error["type"] == "missing":
            if not misspelled(unknown, path[:-1], str(path[-1])):
                owner = _model_at(model, path[:-1])
                yield Flaw(path, f"is missing: {owner.model_fields[str(path[-1])].description}")
        elif error["type"] != "extra_forbidden":
            at_key = path[-1:] == ("[key]",)
            yield Flaw(path[:-1] if at_key else path, _problem(model, error), at_key)


def _problem(model: type[Section], error: ErrorDetails) -> str:
    kind, value = error["type"], error["input"]
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind in ("model_type", "model_attributes_type"):
        keys = ", ".join(_model_at(model, error["loc"]).keywords())
        return f"must be a mapping{f' with the keys {keys}' if keys else ''}, not {kind_of(value)}"
    if kind in ("dict_type", "mapping_type"):
        return f"must be a mapping, not {kind_of(value)}"
    if kind in ("list_type", "tuple_type"):
        hint = f": write [{shown(value)}]" if isinstance(value, str) and "://" not in value else ""
        return f"must be a list, not {kind_of(value)}{hint}"
    return error["msg"][:1].lower() + error["msg"][1:]


def _model_at(model: type[Section], path: Path) -> type[Section]:
    """The model of the mapping at `path`, in which the key or item at its end stands."""
    for part in path:
        described = model.model_fields.get(part) if isinstance(part, str) else None
        model = (section_in(described.annotation) if described else None) or model
    return model


def section_in(annotation: Any) -> type[Section] | None:
    """The first Section that stands in a type such as `tuple[Condition, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation if issubclass(annotation, Section) else None
    return next((found for part in get_args(annotation) if (found := section_in(part)) is not None), None)


def _at(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value
