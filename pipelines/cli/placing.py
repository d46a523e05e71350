"""Where a command puts a model: nothing is overwritten unasked, and it appears whole or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from pipelines.errors import ModelError
from pipelines.remote.address import refuse_url


def check_place(out: Path, force: bool) -> None:
    """Refuse a place where saving would overwrite something that is not asked to go."""
    refuse_url(out, "--out")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    is_model = (out / "manifest.json").is_file() and (out / "model.safetensors").is_file()
    if not is_model:
        raise ModelError(f"{out} exists and is no model folder; give --out a new folder")
    if not force:
        raise ModelError(f"{out} is a model already; give --out a new folder, or add --force")


@contextmanager
def placed(out: Path) -> Iterator[Path]:
    """Give a temporary folder beside `out` that takes its place when all went well."""
    from pipelines.run_folder import replacing_folder

    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing_folder(out, out.with_name(f".{out.name}.{uuid4().hex}.part")) as folder:
        yield folder
