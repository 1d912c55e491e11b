"""Isotonic regression: the rising sequence that lies closest to what was seen.

Lives here: one function on arrays. Must not live here: what the numbers mean (`calibration.py`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def isotonic_blocks(values: FloatArray, weights: FloatArray) -> npt.NDArray[np.intp]:
    """Which neighbours a rising fit has to pool, by pooling adjacent violators.

    The fit that minimises ``Σ w (fit - value)²`` among all that never fall is, in each block, the weighted mean of the
    block's values (Barlow, Bartholomew, Bremner and Brunk, Statistical Inference under Order Restrictions, 1972).

    Args:
        values: Of shape (n,), in the order in which they should rise.
        weights: Of shape (n,), each above 0.

    Returns:
        Where each block begins: rising, of shape (blocks,), the first of them 0; empty where there are no values.
    """
    starts: list[int] = []
    sums: list[float] = []
    totals: list[float] = []
    for index, (value, weight) in enumerate(zip(values.tolist(), weights.tolist(), strict=True)):
        start, total, total_weight = index, value * weight, weight
        # Means are compared without dividing: of two blocks with equal means neither need give way.
        while starts and sums[-1] * total_weight > total * totals[-1]:
            start = starts.pop()
            total += sums.pop()
            total_weight += totals.pop()
        starts.append(start)
        sums.append(total)
        totals.append(total_weight)
    return np.array(starts, np.intp)
