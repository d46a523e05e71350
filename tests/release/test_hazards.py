import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_the_list_of_hazards_names_exists():
    text = (ROOT / "docs/hazards.md").read_text("utf-8")
    named = set(re.findall(r"`(test_\w+)`", text))
    files = [path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    existing = {name for source in files for name in re.findall(r"def (test_\w+)", source)}
    assert len(named) > 40
    assert named - existing == set()


def test_every_hazard_has_a_measure_and_a_test():
    text = (ROOT / "docs/hazards.md").read_text("utf-8")
    rows = [line.split("|") for line in text.splitlines() if re.match(r"\|.*\| [ABC] \|", line)]
    assert len(rows) > 25
    for row in rows:
        assert len(row) == 7, row[1]
        assert row[3].strip()
        assert "`test_" in row[4], row[1]
