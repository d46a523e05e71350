"""The site of the documents builds without a warning, and each page is in it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    for page in ROOT.glob("docs/**/*.md"):
        html = (tmp_path / page.relative_to(ROOT / "docs").with_suffix(".html")).read_text("utf-8")
        assert '<script src="http' not in html and 'rel="stylesheet" href="http' not in html
    assert "FlowDensityEstimator" in (tmp_path / "api.html").read_text("utf-8")
