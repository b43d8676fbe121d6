"""Correlations with the truth: what they are blind to, and what they are not."""

from __future__ import annotations

import numpy as np
import pytest

from core.metrics.agreement import centred_correlation, uncentred_correlation

RNG = np.random.default_rng(3)
TRUTH = RNG.random((8, 8, 8)).astype(np.float32)
MASK = np.zeros((8, 8, 8), np.float32)
MASK[2:6, 2:6, 2:6] = 1


def test_centred_is_pearsons_within_the_mask() -> None:
    found = TRUTH + RNG.normal(0, 0.3, TRUTH.shape).astype(np.float32)
    inside = MASK > 0
    expected = np.corrcoef(found[inside], TRUTH[inside])[0, 1]
    assert centred_correlation(found, TRUTH, MASK) == pytest.approx(expected, abs=1e-9)
    elsewhere = np.where(inside, found, 100.0).astype(np.float32)
    assert centred_correlation(elsewhere, TRUTH, MASK) == pytest.approx(expected, abs=1e-9)
    assert centred_correlation(3 * found + 7, TRUTH, MASK) == pytest.approx(expected, abs=1e-5)


def test_uncentred_is_the_cosine_and_flatters_positive_maps() -> None:
    other = RNG.random((8, 8, 8)).astype(np.float32)
    cosine = float((other * TRUTH).sum() / np.linalg.norm(other) / np.linalg.norm(TRUTH))
    assert uncentred_correlation(other, TRUTH) == pytest.approx(cosine, abs=1e-6)
    assert uncentred_correlation(other, TRUTH) > 0.6 > 0.2 > abs(centred_correlation(other, TRUTH, np.ones_like(MASK)))
    assert uncentred_correlation(np.zeros_like(TRUTH), TRUTH) == 0
