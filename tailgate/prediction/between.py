"""What passes differ by beyond what their stalls explain. Pure.

If stalls come at one rate all the time, the passes of a history differ by so much and not more. Where they differ by
more, the rate itself changes from pass to pass: it is then a gamma variable, the same throughout a pass (Greenwood and
Yule, "An inquiry into the nature of frequency distributions…", 1920). From few passes nothing is certain of that; how
much it varies is therefore drawn from what the passes' variance makes likely, most often not at all where they agree
with their stalls.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_CHANGES = 0.2
"""How likely it is, before the passes are looked at, that the rate changes from pass to pass."""
_TIMES: FloatArray = np.concatenate(([0.0], np.geomspace(0.25, 256, 21)))
"""By how many times the stalls' own variance passes may differ besides; each order of magnitude is as likely."""


def changes_of_rate(
    losses: FloatArray, variance: float, fourth: float, draws: int, generator: np.random.Generator
) -> FloatArray:
    """Variance of the rate's factor between passes, whose mean is 1; float `[draws]`, 0 where the rate stays.

    Args:
        losses: What each pass lost, float `[passes]`.
        variance: Of a pass's loss, if stalls come at one rate.
        fourth: Its fourth cumulant, likewise: losses by few large stalls vary in their variance.
        draws: How many.
        generator: Draws.
    """
    passes, mean = len(losses), float(losses.mean())
    if passes < 3 or variance <= 0 or mean <= 0:
        return np.zeros(draws)
    observed = float(losses.var(ddof=1))
    # The variance of a sample variance, as if it were chi-squared with fewer degrees of freedom.
    degrees = 2 / (fourth / variance**2 / passes + 2 / (passes - 1))
    expected = variance * (1 + _TIMES)
    prior = np.full(len(_TIMES), _CHANGES / (len(_TIMES) - 1))
    prior[0] = 1 - _CHANGES
    likely = np.log(prior) - degrees / 2 * (np.log(expected / variance) + observed / expected)
    weight = np.exp(likely - likely.max())
    times = generator.choice(_TIMES, draws, p=weight / weight.sum())
    return np.asarray(times * variance / mean**2, np.float64)
