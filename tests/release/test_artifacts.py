"""The wheel and the sdist, built, installed and used; their metadata; the licences they pull in."""

import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

FREE = re.compile(
    r"\b(Apache|BSD|MIT|MIT-CMU|HPND|ISC|PSF|PSFL|Python-2\.0|MPL|MPL-2\.0|Zlib|Unlicense|CC0|0BSD|"
    r"Python Software Foundation|Mozilla Public|BSL-1\.0|CNRI-Python|MIT-0|PyTorch|"
    r"Historical Permission Notice)",
    re.IGNORECASE,
)
COPYLEFT = re.compile(r"\b(A?GPL|GNU (Affero )?General Public)", re.IGNORECASE)
READ_BY_HAND = {
    "cuda-bindings": "NVIDIA, proprietary, free to use; only with a CUDA build of torch",
    "cuda-pathfinder": "Apache-2.0",
    "timescoring": "MIT, in its LICENSE file",
    "triton": "MIT; only with a CUDA build of torch",
}
"""Distributions whose metadata name no licence; somebody has looked."""


def core_dependencies() -> set[str]:
    """Return what a plain ``pip install rarewave`` brings, as far as it is installed here."""
    found: set[str] = set()
    queue = [Requirement(text) for text in PROJECT["dependencies"]]
    while queue:
        wanted = queue.pop()
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        extras = wanted.extras or {""}
        if wanted.marker and not any(wanted.marker.evaluate({"extra": e}) for e in extras):
            continue
        if name in found:
            continue
        try:
            inner = requires(name) or []
        except PackageNotFoundError:
            continue  # of another platform
        found.add(name)
        for text in inner:
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": e}) for e in extras):
                requirement.marker = None
                queue.append(requirement)
    return found


def licence(name: str) -> str:
    data = distribution(name).metadata
    classifiers = [x for x in data.get_all("Classifier") or [] if x.startswith("License ::")]
    text = (data.get("License") or "").split("\n")[0]
    return " | ".join(x for x in (data.get("License-Expression") or "", *classifiers, text) if x)


def test_core_dependencies_are_under_free_licences_and_none_is_gpl():
    names = core_dependencies()
    assert {"torch", "numpy", "mne", "streamlit", "sympy"} <= names  # the walk goes deep
    licences = {name: licence(name) for name in names if not name.startswith("nvidia-")}
    copyleft = {n: x for n, x in licences.items() if COPYLEFT.search(x)}
    unknown = {n: x for n, x in licences.items() if n not in READ_BY_HAND and not FREE.search(x)}
    assert copyleft == {}
    assert unknown == {}


def test_the_version_is_written_in_one_place():
    [line] = re.findall(r'__version__ = "(.+)"', (ROOT / "flowcore/_version.py").read_text("utf-8"))
    assert PROJECT["dynamic"] == ["version"]
    assert line == version("rarewave")
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.findall(r"^version: (.+)$", citation, flags=re.MULTILINE) == [line]


def run(*words, cwd):
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    pytest.importorskip("build", reason="build is missing: pip install build")
    pytest.importorskip("hatchling", reason="hatchling is missing: pip install hatchling")
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


@pytest.mark.extensive
def test_wheel_and_sdist_hold_what_they_should(built):
    wheel, sdist = built
    inside = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in inside if ".dist-info" not in name} == {
        "app",
        "flowcore",
        "pipelines",
    }
    for path in (ROOT / "sample_data").iterdir():
        assert f"pipelines/sample_data/{path.name}" in inside
    for package in ("app", "flowcore", "pipelines"):
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert path.relative_to(ROOT).as_posix() in inside
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff"} <= names
    assert {"sample_data/SOURCES.md", "tests/release/test_artifacts.py", "Makefile"} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith(".venv")]


@pytest.mark.extensive
@pytest.mark.parametrize("which", [0, 1], ids=["wheel", "sdist"])
def test_the_demo_runs_from_an_installed_package_in_an_empty_folder(built, which, tmp_path):
    """The dependencies are those of this environment; tests/release/clean_install.sh has its own."""
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv/bin/python"
    [site] = (tmp_path / "venv/lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--force-reinstall", "-q"]
    run(python, "-m", "pip", "install", *options, built[which], cwd=tmp_path)
    (tmp_path / "empty").mkdir()
    where = run(python, "-c", "import pipelines; print(pipelines.__file__)", cwd=tmp_path / "empty")
    assert where.startswith(str(site))
    said = run(tmp_path / "venv/bin/rarewave", "--version", cwd=tmp_path / "empty")
    assert said == f"rarewave {version('rarewave')}\n"
    if which == 0:
        said = run(tmp_path / "venv/bin/rarewave", "demo", "--headless", cwd=tmp_path / "empty")
        assert "absence seizures overlapped by a flagged segment: 3 of 3" in said
        assert (tmp_path / "empty/runs/demo/exports/eeg/html").is_dir()
