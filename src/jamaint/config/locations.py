"""Location of an object: in which file it stands, and where in it."""

from jamaint.config.values import Config
from jamaint.schema.yaml_document import read_document


def place_of(config: Config, kind: str, name: str) -> str | None:
    """`FILE:LINE` of an object from a file, or None if it stands there no more; `kind` is tasks or windows.

    Reads the files: to be asked for beside the loop.
    """
    for file in reversed(config.files):
        try:
            with open(file, "rb") as opened:
                document = read_document(file, opened.read())
        except OSError:
            continue
        objects = document.value.get(kind)
        if isinstance(objects, dict) and name in objects:
            line, _ = document.spot((kind, name), at_key=True)
            return f"{file}:{line}"
    return None
