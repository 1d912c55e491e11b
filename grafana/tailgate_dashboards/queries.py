"""PromQL, built from a few pieces: select, rate, sum, and only then divide.

Every function returns an expression. `by` are the labels that remain. Denominators are held to be above zero, so that
a ratio of nothing is absent rather than zero or NaN. Time-critical accuracy is the share in time of all that arrived,
times the accuracy of what was in time, weighted by the labels' sampling: equal to the plain share of right answers in
time where every request is labelled, and right where labels are sampled or come later.
"""

from __future__ import annotations

from tailgate_dashboards.outcomes import GROUPS
from tailgate_dashboards.recorded import (
    OF_MODELS,
    OF_SLICES,
    WINDOW_LABELLED,
    WINDOW_TCA,
    WINDOW_TCA_OF_SLICE,
    recorded,
)

REPLICAS = 'job=~"$job",instance=~"$instance"'
MODELS = f'{REPLICAS},model=~"$model"'
SERIES = f'{MODELS},version=~"$version",slice=~"$slice"'

RATE = "$__rate_interval"
SHOWN = "$__range"
JUST_NOW = "5m"

MODEL = ("model",)
VERSION = ("model", "version")
SLICE = ("model", "version", "slice")
WINDOW_S = 60


def total(by: tuple[str, ...], inner: str) -> str:
    """The sum over everything but the labels that remain."""
    return f"sum by ({', '.join(by)}) ({inner})" if by else f"sum({inner})"


def per_second(metric: str, window: str, *matchers: str, where: str = SERIES) -> str:
    """A counter's rate where the window is the panel's own, else its increase over the window in events."""
    selector = f"{metric}{{{','.join((where, *matchers))}}}[{window}]"
    return f"rate({selector})" if window == RATE else f"increase({selector})"


def requests(by: tuple[str, ...], window: str, *matchers: str) -> str:
    """Requests that ended."""
    return total(by, per_second("tailgate_requests_total", window, *matchers))


def due(by: tuple[str, ...], window: str) -> str:
    """Requests that ended or whose deadline passed, whichever came first: what hangs counts as soon as it is late."""
    return total(by, per_second("tailgate_due_requests_total", window))


def labelled(by: tuple[str, ...], window: str, *matchers: str) -> str:
    """Requests whose label is known: what confidence rests on."""
    return total(by, per_second("tailgate_labelled_requests_total", window, *matchers))


def weight(by: tuple[str, ...], window: str, *matchers: str) -> str:
    """Labelled requests in time, each counted for as many as its label stands for."""
    return total(by, per_second("tailgate_labelled_weight_total", window, 'outcome="ok"', *matchers))


def label_worth(by: tuple[str, ...], window: str) -> str:
    """Of what was due, the share that has labels, if they were as many of equal weight as they are worth (Kish)."""
    weights = total(by, per_second("tailgate_labelled_weight_total", window))
    squares = total(by, per_second("tailgate_labelled_weight_squares_total", window))
    return ratio(ratio(f"({weights})^2", f"({squares})"), due(by, window))


def ratio(part: str, whole: str, join: str = "") -> str:
    """A share that is absent where there is nothing to divide by; `join` says how the two find each other."""
    return f"{part} /{join} ({whole} > 0)"


def in_time_share(by: tuple[str, ...], window: str) -> str:
    """Of all that arrived and was due, the share that was answered in time."""
    return ratio(requests(by, window, 'outcome="ok"'), due(by, window))


def accuracy_in_time(by: tuple[str, ...], window: str) -> str:
    """Of what was answered in time and is labelled, the share that was right."""
    return ratio(weight(by, window, 'verdict="right"'), weight(by, window))


def tca(by: tuple[str, ...], window: str) -> str:
    """Time-critical accuracy."""
    share = in_time_share(by, window)
    return _or_none_in_time(f"({share}) * ({accuracy_in_time(by, window)})", share)


def _or_none_in_time(product: str, share: str) -> str:
    """Zero where nothing was in time, whatever the accuracy would have been."""
    return f"({product} or ({share}) == 0)"


def lost(cause: str, by: tuple[str, ...], window: str) -> str:
    """What time-critical accuracy lacks to one, for one cause: a group of outcomes, or ``wrong in time``.

    Late is what the others leave, so that a request that hangs is among it at its deadline, and all add up.
    """
    if cause == "wrong in time":
        share = in_time_share(by, window)
        return _or_none_in_time(f"({share}) * (1 - {accuracy_in_time(by, window)})", share)
    if cause == "late":
        others = requests(by, window, f'outcome!~"{"|".join(GROUPS[cause])}"')
        return f"clamp_min(1 - {ratio(others, due(by, window))}, 0)"
    return ratio(requests(by, window, *cause_matchers(cause)), due(by, window))


def cause_matchers(cause: str) -> tuple[str, ...]:
    """What selects the labelled requests that were lost to a cause."""
    if cause == "wrong in time":
        return ('outcome="ok"', 'verdict!="right"')
    outcomes = "|".join(GROUPS[cause])
    return (f'outcome=~"{outcomes}"',)


def label_coverage(by: tuple[str, ...], window: str) -> str:
    """Of all requests that ended, the share whose label is known."""
    return ratio(labelled(by, window), requests(by, window))


def objective() -> str:
    """Each model's objective of time-critical accuracy, as the proxy exports it."""
    return f"max by (model) (tailgate_objective_ratio{{{MODELS}}})"


def floor() -> str:
    """Each model's floor of a one-minute window."""
    return f"max by (model) (tailgate_window_floor_ratio{{{MODELS}}})"


def deadline() -> str:
    """Each model's deadline in seconds."""
    return f"max by (model) (tailgate_deadline_seconds{{{MODELS}}})"


def margin(by: tuple[str, ...], window: str) -> str:
    """Time-critical accuracy above its objective; negative below."""
    join = " on (model) group_left ()" if by != MODEL else ""
    return f"{tca(by, window)} -{join} {objective()}"


def budget_left(window: str) -> str:
    """Of the errors that the objective allows in the window, the share not yet made; negative beyond it."""
    return f"1 - (1 - {tca(MODEL, window)}) / (1 - {objective()})"


def quantile(level: float, metric: str, by: tuple[str, ...], window: str, where: str = SERIES) -> str:
    """A quantile of a histogram of times, interpolated within its bucket."""
    return quantile_of(level, total((*by, "le"), per_second(f"{metric}_bucket", window, where=where)))


def quantile_of(level: float, buckets: str) -> str:
    """The same of buckets; absent, rather than NaN, where they are empty."""
    return f"histogram_quantile({level}, {buckets}) > 0"


def within(metric: str, window: str, by: tuple[str, ...], bound: str = '!="+Inf"') -> str:
    """Of all labelled requests, the share that was right within a bucket's bound: exact, not interpolated.

    `bound` is the matcher of the label ``le``.
    """
    right = total((*by, "le"), per_second(f"{metric}_bucket", window, f"le{bound}"))
    every = labelled(by, window)
    join = f" on ({', '.join(by)}) group_left ()" if by else " on () group_left ()"
    return ratio(right, every, join)


def chance(of_windows: str, typical: str, count: str) -> str:
    """The score that the worst window shows by chance alone, all windows being as good as the typical one.

    A binomial's lower quantile, by the arcsine transformation and Shore's approximation of the normal quantile: near
    enough for 60 labels a window and more (tests hold it against the exact null).

    Args:
        of_windows: The lower-tail probability for one window: one that shrinks with their number.
        typical: An expression for the windows' true score.
        count: An expression for the labelled requests in a window.
    """
    z = f"5.5556 * (1 - ({of_windows}) ^ 0.1186)"
    return f"sin(clamp_min(asin(sqrt({typical})) - {z} / (2 * sqrt({count} > 0)), 0)) ^ 2"


def typical_window(by_slice: bool = False) -> str:  # noqa: FBT001, FBT002  # one of two levels
    """The median window of the range that is shown: what an incident does not move."""
    name, matchers = (WINDOW_TCA_OF_SLICE, OF_SLICES) if by_slice else (WINDOW_TCA, OF_MODELS)
    return f"quantile_over_time(0.5, {recorded(name, matchers)}[$__range] @ end())"


def window_labels() -> str:
    """Labelled requests in each window of one minute, by model."""
    return f"{recorded(WINDOW_LABELLED)} * {WINDOW_S}"
