"""Files that a header names: only plain files beside it are accepted, before anything opens them.

A header is untrusted text. ``DataFile=../secret`` would otherwise hand out that file as signal.
"""

from __future__ import annotations

from pathlib import Path

from pipelines.errors import RecordingError


class MissingFileError(RecordingError):
    """A header names a file that is not beside it.

    Attributes
    ----------
    file : pathlib.Path
        Where it should be.
    """

    def __init__(self, message: str, file: Path) -> None:
        super().__init__(message)
        self.file = file


def companion(header: Path, name: str, role: str) -> Path:
    """Return the file called `name` beside `header`.

    Parameters
    ----------
    header : pathlib.Path
        The file that names the other one.
    name : str
        The name as the header gives it.
    role : str
        What the file is, for messages: ``"data file"``.

    Raises
    ------
    RecordingError
        If `name` is more than a file name, or the file is missing or a link.
    """
    name = name.strip()
    plain = name and name == Path(name).name and name not in (".", "..")
    if not plain or any(c in name for c in "\\:") or not name.isprintable():
        raise RecordingError(
            f"{header.name} names a {role} outside its own folder ({name[:80]!r}), which is "
            "refused; put the file beside the header and correct the name"
        )
    file = header.with_name(name)
    if file.is_symlink():
        raise RecordingError(
            f"the {role} {name} of {header.name} is a link, which is refused; "
            "put the file itself beside the header"
        )
    if not file.is_file():
        raise MissingFileError(
            f"{header.name} names the {role} {name}, which is not there; put it beside the header",
            file,
        )
    return file


def text_of(path: Path, most_bytes: int = 1 << 20) -> str:
    """Return the text of a small file; refuse an empty or a suspiciously large one."""
    size = path.stat().st_size
    if size == 0:
        raise RecordingError(f"{path.name} is empty (0 bytes); copy or export it again")
    if size > most_bytes:
        raise RecordingError(
            f"{path.name} has {size} bytes, where a text of at most {most_bytes} is expected; "
            "check that it is the header and not the signal"
        )
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")
