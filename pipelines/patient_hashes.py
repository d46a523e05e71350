"""Which patients a model has seen, told without their names: salted hashes of stated ids.

A salt keeps the hashes of two models from being compared. It does not hide an id from somebody who
can guess it, so a model folder is to be kept like the ids themselves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

SALT, HASHES = "patient_salt", "patient_sha256"


def patient_facts(patient_ids: Iterable[str], signals: Iterable[str]) -> dict[str, Any]:
    """Return what a model keeps of the patients it was fitted on, under a salt of its own.

    Parameters
    ----------
    patient_ids : iterable of str
        Only ids that a manifest or a BIDS data set states; names of files tell no patient.
    signals : iterable of str
        Hashes of the recordings' samples, of which the salt is made: same fit, same model.

    Returns
    -------
    dict
        ``patient_salt`` and ``patient_sha256``; empty without an id.
    """
    known = set(patient_ids)
    if not known:
        return {}
    salt = hashlib.sha256("".join(sorted(signals)).encode()).hexdigest()[:32]
    return {SALT: salt, HASHES: sorted(_hash(salt, patient_id) for patient_id in known)}


def known_patients(sources: Mapping[str, Any], patient_ids: Iterable[str]) -> set[str]:
    """Return those of some ids that a model was fitted on; none if it does not say.

    Parameters
    ----------
    sources : mapping
        :attr:`pipelines.model.Model.sources`.
    patient_ids : iterable of str
        Stated ids, as for :func:`patient_facts`.
    """
    if SALT not in sources:
        return set()
    hashes = set(sources[HASHES])
    return {name for name in patient_ids if _hash(str(sources[SALT]), name) in hashes}


def _hash(salt: str, patient_id: str) -> str:
    return hashlib.sha256(f"{salt}{patient_id}".encode()).hexdigest()
