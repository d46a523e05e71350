"""The picture of a window over its nearest normal."""

from base64 import b64decode

import numpy as np
import pandas as pd

from app.overlay import overlay
from pipelines.nearest_normal import NearestNormal


def _found(kind, channels, widened=1.0):
    axis = np.linspace(-0.24, 0.39, 64) if kind == "waveform" else np.linspace(0.5, 45, 90)
    window = np.outer(np.arange(1, len(channels) + 1), np.sin(axis * 9))
    mean = np.zeros_like(window)
    return NearestNormal(
        kind, axis, channels, window, mean, mean - 0.1, mean + 0.1, (1, 2, 3),
        pd.DataFrame(), 40.0, widened,
    )  # fmt: skip


def _picture(html):
    return b64decode(html.split("base64,")[1].split('"')[0]).decode()


def test_each_lead_has_a_band_a_dashed_and_a_solid_line():
    html = overlay(_found("waveform", ("II", "V1")))
    picture = _picture(html)
    assert picture.count("<polygon") == 2 and picture.count("<polyline") == 4
    assert picture.count("stroke-dasharray") == 2  # not told by colour alone
    assert "II, V1" in html and "nan" not in picture


def test_an_eeg_shows_the_channels_that_differ_most():
    html = overlay(_found("spectrum", ("A", "B", "<b>C</b>")))
    assert "&lt;b&gt;C&lt;/b&gt;, B" in html
    assert "Hz" in html


def test_a_window_far_from_everything_is_said_to_be():
    assert "far from anything" in overlay(_found("waveform", ("II",), widened=4.0))
    assert "far from anything" not in overlay(_found("waveform", ("II",)))
