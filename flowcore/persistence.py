"""Models on disk: safetensors and JSON with a manifest of hashes. Never pickle."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors
from torch import Tensor

from flowcore.errors import PersistenceError

FORMAT = "flowcore"
FORMAT_VERSION = 1
TENSORS, CONFIG, MANIFEST = "model.safetensors", "config.json", "manifest.json"


def write_model(
    path: str | Path,
    tensors: dict[str, Tensor],
    config: dict[str, Any],
    documents: Mapping[str, str] | None = None,
) -> None:
    """Write a model folder: ``model.safetensors``, ``config.json``, ``manifest.json``.

    Each file is written to a temporary name and renamed; the manifest comes last. `documents`
    are further text files by name (a card, a calibration), hashed with the others.
    """
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    document = {"format": FORMAT, "format_version": FORMAT_VERSION, **config}
    contents = {
        TENSORS: dump_tensors({name: t.detach().cpu().contiguous() for name, t in tensors.items()}),
        CONFIG: _json(document),
    }
    contents |= {name: text.encode() for name, text in (documents or {}).items()}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    contents[MANIFEST] = _json({"sha256": hashes})
    for name, content in contents.items():
        _write(folder / name, content)


def read_model(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a model folder and check every file against the manifest.

    Raises
    ------
    PersistenceError
        If the folder is missing, a file is missing, altered, cut short or not of this format,
        or the format is newer than this library.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise PersistenceError(
            f"{folder.name!r} is not a model folder; a model is a folder that holds {TENSORS}, "
            f"{CONFIG} and {MANIFEST} (pickled models are not read)"
        )
    manifest = _parse(MANIFEST, _read(folder, MANIFEST))
    hashes = manifest.get("sha256")
    if not isinstance(hashes, dict) or not {TENSORS, CONFIG} <= set(hashes):
        raise PersistenceError(f"{MANIFEST} does not list the files of a model; save it again")
    for name in hashes:
        if Path(name).name != name:
            raise PersistenceError(f"{MANIFEST} names {name!r}, which lies outside the model")
    contents = {name: _read(folder, name) for name in hashes}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != hashes[name]:
            raise PersistenceError(
                f"{name} does not match its hash in {MANIFEST}: it was changed or cut short; "
                "restore it from a copy or fit the model again"
            )
    config = check_format(_parse(CONFIG, contents[CONFIG]))
    try:
        return load_tensors(contents[TENSORS]), config
    except SafetensorError as error:
        raise PersistenceError(f"{TENSORS} is not a safetensors file ({error})") from error


def check_format(config: dict[str, Any]) -> dict[str, Any]:
    """Return `config` if this library can read it; say why not otherwise."""
    if config.get("format", FORMAT) != FORMAT:
        raise PersistenceError(
            f"format {config['format']!r} is not {FORMAT!r}; this is no flowcore model"
        )
    version = config.get("format_version", FORMAT_VERSION)
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise PersistenceError(
            f"model format {version} is newer than {FORMAT_VERSION}, the newest this version "
            "reads; update rarewave"
        )
    return config


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise PersistenceError(
            f"{folder.name}/{name} cannot be read ({error.strerror}); the model is incomplete"
        ) from error


def _parse(name: str, content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except ValueError as error:
        raise PersistenceError(f"{name} is not JSON ({error}); the model is damaged") from error
    if not isinstance(value, dict):
        raise PersistenceError(f"{name} holds no JSON object; the model is damaged")
    return value


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
