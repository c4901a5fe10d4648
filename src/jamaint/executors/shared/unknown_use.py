"""The refusal of a step, where nobody could tell which files are in use."""

from collections.abc import Iterator
from contextlib import contextmanager

from jamaint.executors.shared.executor import StepFailed
from jamaint.files.use.open_files import OpenFilesError


@contextmanager
def refused_if_use_unknown() -> Iterator[None]:
    """Turn OpenFilesError into StepFailed; also a decorator."""
    try:
        yield
    except OpenFilesError as error:
        raise StepFailed(str(error), "refused") from None
