"""The scripts in examples/ run and show what they are meant to show."""

import runpy
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples"
SHOWN = {
    "two_moons": lambda rows, gap: rows > gap + 1 and rows > -1.5,
    "conditional_flow": lambda there, elsewhere: there > elsewhere + 3,
    "nearest_normal": lambda before, after, acceptance, size: (
        after < 0.5 * before and acceptance > 0.5 and size > 30
    ),
    "drift": lambda same, other: other <= 0.01 < same,
}


def test_every_script_is_run():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(SHOWN)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHOWN)
def test_a_script_shows_what_it_says(name):
    found = runpy.run_path(str(FOLDER / f"{name}.py"))["main"]()
    assert SHOWN[name](*found.values()), found
