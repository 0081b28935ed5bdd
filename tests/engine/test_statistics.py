"""Tails of chance are exact: against scipy over wide ranges, against fractions, and by the laws they must obey."""

from __future__ import annotations

import random
from fractions import Fraction
from math import comb, isclose

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from alertd.engine.statistics import binomial_tail, incomplete_beta, negbin_at_most

EXACT = 1e-9
"""The relative error that is allowed."""
OF_SCIPY = 1e-280
"""Below this scipy's own result loses digits; exact fractions say what is right there."""

trials = st.integers(1, 1_000_000)
chances = st.floats(-7, -0.001).map(lambda power: 10**power)


@st.composite
def binomials(draw) -> tuple[int, int, float]:
    """k, n and p; k mostly around the mean and some way above it, where decisions are made."""
    n, p = draw(trials), draw(chances)
    mean, spread = n * p, (n * p * (1 - p)) ** 0.5
    near = int(mean + draw(st.floats(-6, 40)) * spread)
    return min(n, max(0, draw(st.one_of(st.just(near), st.integers(0, n))))), n, p


@settings(max_examples=400, deadline=None)
@given(binomials())
def test_the_binomial_tail_is_scipys(case) -> None:
    k, n, p = case
    wanted = float(special.betainc(k, n - k + 1, p)) if k else 1.0
    if wanted > OF_SCIPY:
        assert isclose(binomial_tail(k, n, p), wanted, rel_tol=EXACT)
    else:
        assert binomial_tail(k, n, p) <= 2 * OF_SCIPY


@settings(max_examples=300, deadline=None)
@given(st.floats(-6, 7), st.floats(-1.5, 0.5), st.floats(0, 3), st.booleans())
def test_the_negative_binomial_tail_is_scipys(power, spread, share, usual) -> None:
    mean, cv = 10**power, 0.3 if usual else 10**spread
    r, size = int(share * mean), 1 / (cv * cv)
    wanted = float(special.betainc(size, r + 1, size / (size + mean)))
    assert isclose(negbin_at_most(r, mean, cv), wanted, rel_tol=EXACT, abs_tol=OF_SCIPY)


@pytest.mark.parametrize(
    ("k", "n", "p"),
    [(49, 72, 3.7e-7), (109, 145, 1.1e-3), (150, 179, 8e-3), (3, 40, 0.02), (43, 60, 1e-7), (60, 60, 0.5)],
)
def test_tails_down_to_1e_300_are_those_of_exact_fractions(k: int, n: int, p: float) -> None:
    exact, rest = Fraction(p), 1 - Fraction(p)
    wanted = float(sum(comb(n, i) * exact**i * rest ** (n - i) for i in range(k, n + 1)))
    assert wanted > 1e-300
    assert isclose(binomial_tail(k, n, p), wanted, rel_tol=EXACT)


def test_what_cannot_be_or_must_be_has_probability_nought_or_one() -> None:
    assert binomial_tail(0, 0, 0.3) == binomial_tail(0, 5, 0.0) == binomial_tail(5, 5, 1.0) == 1
    assert binomial_tail(1, 0, 0.3) == binomial_tail(6, 5, 1.0) == binomial_tail(1, 5, 0.0) == 0
    assert negbin_at_most(0, 0.0, 0.3) == 1
    assert negbin_at_most(-1, 5.0, 0.3) == 0


def test_what_is_too_small_for_a_double_is_nought() -> None:
    assert binomial_tail(900_000, 1_000_000, 1e-7) == 0
    assert negbin_at_most(0, 1e9, 0.01) == 0


@given(st.integers(0, 200), st.integers(0, 200), chances)
def test_more_hits_are_less_likely_and_more_trials_or_better_chances_make_them_likelier(k, n, p) -> None:
    here = binomial_tail(k, n, p)
    assert 0 <= here <= 1
    assert binomial_tail(k + 1, n, p) <= here * (1 + EXACT)
    assert binomial_tail(k, n + 1, p) >= here * (1 - EXACT)
    assert binomial_tail(k, n, min(1.0, p * 1.5)) >= here * (1 - EXACT)


@given(st.integers(1, 300), st.integers(1, 300), st.floats(0.001, 0.999))
def test_at_least_k_hits_are_not_more_than_n_less_k_misses(k, n, p) -> None:
    """P(X ≥ k hits) and P(Y ≥ n - k + 1 misses) make one."""
    k = min(k, n)
    assert isclose(binomial_tail(k, n, p) + binomial_tail(n - k + 1, n, 1 - p), 1, rel_tol=EXACT)


@given(st.floats(0.1, 500), st.floats(0.1, 500), st.floats(0.001, 0.999))
def test_the_incomplete_beta_function_and_its_mirror_image_make_one(a, b, x) -> None:
    assert isclose(incomplete_beta(x, 1 - x, a, b) + incomplete_beta(1 - x, x, b, a), 1, rel_tol=EXACT)
    assert isclose(incomplete_beta(x, 1 - x, a, b), float(special.betainc(a, b, x)), rel_tol=EXACT, abs_tol=OF_SCIPY)


@given(st.integers(0, 300), st.floats(0.01, 300))
def test_few_are_likelier_the_more_count_as_few_and_the_smaller_the_mean(r, mean) -> None:
    here = negbin_at_most(r, mean, 0.3)
    assert 0 <= here <= 1
    assert negbin_at_most(r + 1, mean, 0.3) >= here * (1 - EXACT)
    assert negbin_at_most(r, mean * 1.2, 0.3) <= here * (1 + EXACT)


def test_a_count_whose_rate_hardly_wanders_is_nearly_a_poisson_count() -> None:
    for r, mean in ((0, 3.0), (7, 12.5), (60, 40.0)):
        assert isclose(negbin_at_most(r, mean, 1e-4), float(stats.poisson.cdf(r, mean)), rel_tol=1e-4)


def test_as_many_as_come_from_drawing_many_times() -> None:
    """A coarse look from another side: shares of 20,000 drawn negative binomials."""
    rng = random.Random(7)
    drawn = [_poisson(rng, rng.gammavariate(1 / 0.09, 12 * 0.09)) for _ in range(20_000)]
    for r in (4, 8, 12, 16):
        assert abs(sum(count <= r for count in drawn) / 20_000 - negbin_at_most(r, 12, 0.3)) < 0.02


def _poisson(rng: random.Random, rate: float) -> int:
    count, at = 0, rng.expovariate(1)
    while at < rate:
        count, at = count + 1, at + rng.expovariate(1)
    return count
