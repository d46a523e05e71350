"""Wording and escaping."""

import pytest

from app import markup, messages


@pytest.mark.parametrize(
    ("seconds", "decimals", "words"),
    [(0, 0, "0:00"), (59.99, 0, "0:59"), (59.96, 1, "0:59.9"), (3725.5, 1, "1:02:05.5")],
)
def test_clock_never_shows_sixty_seconds(seconds, decimals, words):
    assert messages.clock(seconds, decimals) == words


def test_percentiles_never_round_to_all():
    assert messages.percentile(0.9996) == "higher than 99.9 % of windows"
    assert messages.percentile(0.002) == "lower than 99.8 % of windows"
    assert "by itself" in messages.percentile(0.5)


def test_p_value_in_words_is_its_inverse():
    assert messages.rarity(0.0127) == "1 in 79 usual windows"
    assert messages.rarity(float("nan")) == "–"


def test_no_word_of_alarm_or_normality():
    words = " ".join(v for v in vars(messages).values() if isinstance(v, str)).lower()
    assert not {"normal", "alarm", "urgent", "critical", "abnormal"} & set(words.split())


def test_html_is_escaped_everywhere():
    hostile = "<img src=x onerror=alert(1)>\"'"
    made = [
        markup.page_title(hostile, [hostile]),
        markup.facts([(hostile, hostile)]),
        markup.tiles([(hostile, hostile)]),
        markup.verdict_badge("accepted", hostile, hostile, hostile),
        markup.feature_row(hostile, hostile, hostile, 0.5),
        markup.history_row(hostile, hostile, hostile, hostile),
        markup.brand(b"<svg/>", hostile, hostile),
        markup.more(hostile, ""),
        markup.section(hostile),
    ]
    assert all("<img src=x" not in html and "&lt;img" in html for html in made)


def test_markdown_is_escaped():
    assert markup.plain("![x](http://e)") == r"\!\[x\]\(http\:\/\/e\)"
    assert markup.plain(":red[x] **b**\n# h") == r"\:red\[x\] \*\*b\*\* \# h"
