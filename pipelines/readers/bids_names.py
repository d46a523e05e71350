"""File names of the Brain Imaging Data Structure, which say whose recording a file is.

A name is ``sub-01_ses-1_task-rest_run-02_eeg.edf``: entities, then the kind of signal. See
https://bids-specification.readthedocs.io/en/stable/common-principles.html.
"""

from __future__ import annotations

import re
from pathlib import Path

SIGNALS = ("eeg", "ieeg", "ecg")
"""Kinds of signal that are looked for, both as folder and as end of the name."""

NO_RAW_DATA = frozenset({"derivatives", "sourcedata", "code", "stimuli"})
"""Folders of a data set that hold no recordings of it."""

DESCRIPTION = "dataset_description.json"
"""File at the root of a data set."""

_NAME = re.compile(r"sub-[A-Za-z0-9]+(?:_[A-Za-z]+-[A-Za-z0-9]+)*_(?:eeg|ieeg|ecg)")


def is_bids_name(path: Path) -> bool:
    """Return True if `path` is named as a recording of a BIDS data set and lies where one lies."""
    return path.parent.name in SIGNALS and _NAME.fullmatch(path.stem) is not None


def entities_of(stem: str) -> dict[str, str]:
    """Return the entities of a name, in order.

    Examples
    --------
    >>> entities_of("sub-01_task-rest_eeg")
    {'sub': '01', 'task': 'rest'}
    """
    return dict(part.split("-", 1) for part in stem.split("_") if "-" in part)


def recording_name(path: Path) -> str:
    """Return the name of a BIDS recording without its kind of signal."""
    return path.stem.rpartition("_")[0]


def patient_name(path: Path) -> str:
    """Return the subject of a BIDS recording: ``"sub-01"``."""
    return path.stem.partition("_")[0]


def is_data_set(folder: Path) -> bool:
    """Return True if `folder` is the root of a BIDS data set."""
    return (folder / DESCRIPTION).is_file()
