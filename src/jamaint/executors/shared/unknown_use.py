"""The refusal of a step, where nobody could tell which files are in use."""

from collections.abc import Iterator
from contextlib import contextmanager

from jamaint.executors.shared.executor import StepError
from jamaint.files.use.open_files import OpenFilesError


@contextmanager
def refused_if_use_unknown() -> Iterator[None]:
    """Turn OpenFilesError into StepError; also a decorator."""
    try:
        yield
    except OpenFilesError as error:
        raise StepError(str(error), "refused") from None
