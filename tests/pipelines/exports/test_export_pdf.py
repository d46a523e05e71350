import pypdf
import pytest

from pipelines.exports import export_run
from pipelines.exports.pdf_pages import font_for
from pipelines.store import ReviewStore

SPANS = [(20.0, 24.0), (60.5, 61.5)]
HOSTILE = "<b>bold</b> & <img src='/etc/passwd'/> μέγα\nnext"


def pages(run, tmp_path):
    (path, _) = export_run(run.path, "pdf", tmp_path / "out")
    return pypdf.PdfReader(path).pages


def test_every_page_says_what_it_is_and_the_segments_are_there(make_run, ecg_file, tmp_path):
    run = make_run({"night": ecg_file()}, SPANS, 120)
    ReviewStore(run.reviews_path).record("night", "night@20.000", "accepted", HOSTILE, "kim")
    found = pages(run, tmp_path)
    texts = [page.extract_text() for page in found]
    for number, text in enumerate(texts, start=1):
        assert "Research use only. Not a medical device." in text
        assert f"{number} / {len(texts)}" in text
    whole = " ".join(" ".join(texts).split())
    assert "0:00:20.0 for 4.0 s, at 03:04:25 by the recorder's clock; peak score 6.25" in whole
    assert "<b>bold</b> & <img src='/etc/passwd'/> μέγα next (kim" in whole
    assert "25 mm/s, 10 mm/mV" in whole
    assert "Jane Doe" not in whole
    for page in found:
        width, height = float(page.mediabox.width), float(page.mediabox.height)
        assert (width, height) == pytest.approx((841.89, 595.28), abs=0.1)


def test_strips_are_drawn_to_scale(make_run, ecg_file, tmp_path):
    found = pages(make_run({"night": ecg_file()}, SPANS, 120), tmp_path)
    scales, widest = set(), 0.0

    def visit(operator, operands, matrix, _):
        nonlocal widest
        if operator == b"re":
            scales.add(round(abs(float(matrix[0])), 3))
            widest = max(widest, float(operands[2]) * abs(float(matrix[0])))

    found[1].extract_text(visitor_operand_before=visit)
    assert round(72 / 25.4, 3) in scales
    assert widest == pytest.approx(250 * 72 / 25.4, abs=0.1)


def test_a_very_long_comment_and_many_recordings(make_run, ecg_file, tmp_path):
    source = ecg_file()
    run = make_run({f"r{i}": source for i in range(3)}, SPANS, 120)
    ReviewStore(run.reviews_path).record("r0", "r0@20.000", "unsure", "x" * 2000, "kim")
    ReviewStore(run.reviews_path).record("r1", "r1@20.000", "unsure", "x\n" * 1000, "kim")
    assert len(pages(run, tmp_path)) >= 4


@pytest.mark.parametrize(
    ("text", "font"), [("µV", "Helvetica"), ("μV", "DejaVuSans"), ("Ж", "DejaVuSans")]
)
def test_letters_that_helvetica_lacks_get_another_font(text, font):
    assert font_for(text) == font
