"""Exact tails: how likely chance alone gives as many as this, or as few."""

from __future__ import annotations

from math import exp, lgamma, log, pi, sqrt

_HALF_LOG_TWO_PI = 0.5 * log(2 * pi)
_TINY = 1e-300
_CLOSE = 1e-15
_MOST_STEPS = 20_000
"""Far more steps of the continued fraction than any sample needs: they grow with the root of its size."""


def binomial_tail(k: int, n: int, p: float) -> float:
    """P(X ≥ k) for X of n trials that each succeed with probability p; relative error below 1e-9 down to 1e-300.

    It is I_p(k, n - k + 1): Abramowitz and Stegun, Handbook of Mathematical Functions, 26.5.24.
    """
    if k <= 0:
        return 1.0
    if k > n or p <= 0:
        return 0.0
    return 1.0 if p >= 1 else incomplete_beta(p, 1 - p, k, n - k + 1)


def negbin_at_most(r: int, mean: float, cv: float) -> float:
    """P(X ≤ r) for a negative binomial X with this mean and variance mean + (cv · mean)²; cv must be above 0.

    That is a Poisson count whose rate wanders by the coefficient of variation `cv` (a gamma mixture). With size
    s = 1/cv² it is I_y(s, r + 1) at y = s / (s + mean): DLMF 8.17.24, Abramowitz and Stegun 26.5.26.
    """
    if r < 0:
        return 0.0
    if mean <= 0:
        return 1.0
    size = 1 / (cv * cv)
    return incomplete_beta(size / (size + mean), mean / (size + mean), size, r + 1)


def incomplete_beta(x: float, rest: float, a: float, b: float) -> float:
    """The regularized incomplete beta function I_x(a, b), 0 < x < 1; `rest` is 1 - x, which the caller knows exactly.

    By the continued fraction on the side where it converges quickly (DLMF 8.17.22, Abramowitz and Stegun 26.5.8),
    elsewhere by I_x(a, b) = 1 - I_rest(b, a), DLMF 8.17.4.
    """
    if x * (a + b + 2) < a + 1:
        return min(1.0, _front(x, rest, a, b) / a * _fraction(x, a, b))
    return max(0.0, 1 - _front(x, rest, a, b) / b * _fraction(rest, b, a))


def _front(x: float, rest: float, a: float, b: float) -> float:
    """x^a rest^b / B(a, b), without the cancellation that logarithms of the gamma function suffer in large samples.

    After C. Loader, "Fast and accurate computation of binomial probabilities" (2000): the saddle point, and what
    Stirling's formula leaves out.
    """
    n = a + b
    above = _stirling_error(n) - _stirling_error(a) - _stirling_error(b) - _deviance(a, n * x) - _deviance(b, n * rest)
    return exp(above) * sqrt(a * b / (2 * pi * n))


def _stirling_error(n: float) -> float:
    """log Γ(n + 1) less Stirling's formula, n > 0; the series is DLMF 5.11.1."""
    if n < 16:
        return lgamma(n + 1) - (n + 0.5) * log(n) + n - _HALF_LOG_TWO_PI
    square = n * n
    return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / 1188 / square) / square) / square) / square) / n


def _deviance(x: float, mean: float) -> float:
    """x log(x / mean) + mean - x; where the two are close, by its series in (x - mean) / (x + mean)."""
    gap = x - mean
    if abs(gap) >= 0.1 * (x + mean):
        return x * log(x / mean) - gap
    v = gap / (x + mean)
    total, term = gap * v, 2 * x * v
    for odd in range(3, 22, 2):  # each term is at most a hundredth of the one before
        term *= v * v
        total += term / odd
    return total


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of DLMF 8.17.22, by Lentz's method as Thompson and Barnett modified it (1986)."""
    c, d = 1.0, 1 / _kept_off_zero(1 - (a + b) * x / (a + 1))
    found = d
    for m in range(1, _MOST_STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / _kept_off_zero(1 + even * d)
        c = _kept_off_zero(1 + even / c)
        found *= c * d
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / _kept_off_zero(1 + odd * d)
        c = _kept_off_zero(1 + odd / c)
        step = c * d
        found *= step
        if abs(step - 1) < _CLOSE:
            break
    return found


def _kept_off_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
