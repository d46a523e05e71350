"""The requirement files: they answer pyproject.toml, carry hashes and name no package index."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def direct(*extras: str) -> list[Requirement]:
    texts = [*PROJECT["dependencies"], *(text for name in extras for text in EXTRAS[name])]
    return [Requirement(text) for text in texts]


def pins(name: str) -> dict[str, Version]:
    text = (ROOT / "requirements" / name).read_text()
    found = re.findall(r"^([\w.\[\]-]+)==([^\s;\\]+)", text, flags=re.MULTILINE)
    return {canonicalize_name(n.split("[")[0]): Version(v) for n, v in found}


@pytest.mark.parametrize(
    ("name", "extras"),
    [("cpu.lock", ("dicom", "s3")), ("minimum.txt", ("dicom", "s3", "test"))],
)
def test_every_requirement_is_pinned_where_pyproject_admits_it(name, extras):
    pinned = pins(name)
    for requirement in direct(*extras):
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


def test_the_oldest_releases_are_those_that_pyproject_names():
    pinned = pins("minimum.txt")
    for requirement in direct("dicom", "s3", "test"):
        [least] = [Version(s.version) for s in requirement.specifier if s.operator == ">="]
        if requirement.name != "torch":  # older ones have no build without a GPU everywhere
            assert pinned[canonicalize_name(requirement.name)] == least, requirement


def test_every_pin_of_the_lock_has_a_hash():
    text = (ROOT / "requirements/cpu.lock").read_text()
    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(entries) > 50
    assert [e.split()[0] for e in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}", e)] == []


@pytest.mark.parametrize("name", ["cpu.in", "cpu.lock", "minimum.txt"])
def test_no_package_index_is_named(name):
    text = (ROOT / "requirements" / name).read_text()
    assert "://" not in text and "--index" not in text and "--find-links" not in text
