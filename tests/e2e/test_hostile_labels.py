"""Text from files and from readers is shown as text in a real browser, wherever it is shown."""

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
ATTACK = '"><img src=x onerror=window.hacked=1><script>window.hacked=1</script>'


@pytest.fixture
def run_path(tmp_path):
    import importlib.util
    from pathlib import Path

    path = Path(__file__).parents[2] / "benchmarks" / "dashboard.py"
    spec = importlib.util.spec_from_file_location("dashboard_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_run(tmp_path, 0.1, 6)


def test_hostile_labels_comments_names_and_reasons_do_nothing(chromium, run_path, serve, page):
    from pipelines.run_folder import RunFolder
    from pipelines.store import ReviewStore

    run = RunFolder.open(run_path)
    run.append_status({"recording_id": "q", "state": "quarantined", "reason": ATTACK})
    (segment, *_) = run.segments("holter")["segment_id"]
    store = ReviewStore(run.reviews_path)
    place = {"recording_id": "holter", "segment_id": segment}
    store.append("verdict", ATTACK, **place, verdict="accepted", comment=ATTACK)
    store.append("label", ATTACK, **place, label=ATTACK[:60])
    store.append("assign", ATTACK, recording_id="holter", reader=ATTACK[:60])
    store.append("verdict", "lee", **place, verdict="rejected", comment=ATTACK)
    store.append("role", ATTACK, name=ATTACK, role="admin")
    (run_path / "labels.toml").write_text(f"ecg = ['{ATTACK[:60]}', 'V']")
    address = serve(run_path).address
    for path in ("/", "/review?recording=holter", "/readers", "/help", "/export", "/about"):
        page.goto(f"{address}{path}")
        page.locator(".rw-title h1").first.wait_for(timeout=90_000)
        page.wait_for_timeout(700)
        assert page.evaluate("window.hacked") is None, path
        assert page.locator("img[src=x]").count() == 0, path
    page.goto(f"{address}/review?recording=holter")
    page.get_by_text("History").first.click()
    page.locator(".rw-history q", has_text="<script>").first.wait_for()
    assert page.evaluate("window.hacked") is None
    assert page.problems == []
    assert store.verify().n_entries == 5
