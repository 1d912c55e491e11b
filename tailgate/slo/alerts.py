"""The alerts. Each names what a user feels first; its runbook says what to do.

A page needs certainty (z = 3.9) and damage that lasts; everything else is a ticket. No expression holds an objective.
"""

from __future__ import annotations

from tailgate.slo.config import SloConfig
from tailgate.slo.promql import CANARY_Z, PAGE_Z, TICKET_Z
from tailgate.slo.rules import NUMBER, PERCENT, Alert, Group
from tailgate.slo.spans import Spans, promql

SHED = "shed_queue_full|shed_predicted_late|expired_in_queue"
LATE = "ok_late|ok_late_discarded|default_answered|expired_on_arrival|deadline_in_flight"
CANARY_LEAST = 30
"""Requests of a canary in a slice, below which nothing is said about it."""
CANARY_VARIANCE = 3
"""Likewise of the variance of its right answers by chance: where nearly all are right, or nearly all wrong, chance
deals in single requests, and z says less than it seems to."""
EXPECTED_LEAST = 20
"""Requests that would have come by now: that none of fewer came may be chance (e⁻²⁰ where they come independently)."""
SHED_SHARE, SHED_LEAST = 0.01, 10


def alerts(config: SloConfig) -> tuple[Group, ...]:
    """All alerts, by what they watch."""
    spans = Spans(config.window, config.scrape_interval)
    scrape = promql(config.scrape_interval)
    return (
        Group("tailgate-quality", scrape, _quality(spans), "What clients get."),
        Group("tailgate-change", scrape, _change(spans), "What became worse than it was."),
        Group("tailgate-sight", scrape, _sight(spans, config), "Whether we still see it."),
        Group("tailgate-causes", scrape, _causes(spans, config.job), "Why."),
    )


def _quality(spans: Spans) -> tuple[Alert, ...]:
    window, five, half_hour, hour = spans.window.name, spans.five.name, spans.half_hour.name, spans.hour.name
    six, three_days = spans.quarter_day.name, spans.three_days.name

    page_window = "model:tailgate_page_window:bool"
    before = f"max_over_time({page_window}[{spans.windows(4).name}] offset {spans.window.range}) == 1"
    how = "Two windows that share no request, out of five"
    if spans.stretch != spans.window:
        before = (
            "(\n"
            "  model:tailgate_page_stretch:bool == 1\n"
            f"  and model:tailgate_bad_window:bool offset {spans.stretch.range} == 1\n"
            f"  or {before}\n"
            ")"
        )
        how = (
            f"A window that opens a ticket, and by itself the {spans.stretch.name} after it; or, where requests are\n"
            "few, or it comes and goes, two windows that share no request, out of five"
        )

    def now(span: str) -> str:
        return f"(model:tailgate_tca:ratio_rate{span} or model:tailgate_in_time:ratio_rate{span})"

    bad = "{{ $labels.model }}: a window of time-critical accuracy is surely under its floor"
    return (
        Alert(
            "TailgateBadWindow",
            "page",
            f"model:tailgate_tca_page_upper:ratio_rate{window}\nand {page_window} == 1\nand {before}",
            summary=bad,
            description=f"At most {PERCENT} of requests are answered right and in time, and it was as bad before, "
            f"within {five}.",
            keep=spans.windows(6).name,
            note=f"It ends after the ticket of the same windows, which it inhibits.\n{how}. Sure at z = {PAGE_Z}.",
        ),
        Alert(
            "TailgateBadWindow",
            "ticket",
            f"model:tailgate_tca_upper:ratio_rate{window}\nand model:tailgate_bad_window:bool == 1",
            summary=bad,
            description=f"At most {PERCENT} of requests were answered right and in time over {window}.",
            keep=five,
            note=f"One window, sure at z = {TICKET_Z}.",
        ),
        Alert(
            "TailgateBudgetBurnFast",
            "page",
            f"model:tailgate_tca_upper:ratio_rate{hour} < model:tailgate_fast_burn:ratio\n"
            f"and {now(five)} < model:tailgate_fast_burn:ratio",
            summary="{{ $labels.model }} is missing its objective so fast that the budget will not last",
            description=f"At most {PERCENT} of requests were answered right and in time over {hour}, and it has not "
            "stopped.",
            keep=five,
            labels={"span": hour},
            note="The long span says that it matters, the short one that it goes on.",
        ),
        Alert(
            "TailgateBudgetBurnSlow",
            "ticket",
            f"model:tailgate_tca_upper:ratio_rate{six} < model:tailgate_slow_burn:ratio\n"
            f"and {now(half_hour)} < model:tailgate_slow_burn:ratio",
            summary="{{ $labels.model }} is missing its objective",
            description=f"At most {PERCENT} of requests were answered right and in time over {six}, and it has not "
            "stopped.",
            keep=half_hour,
            labels={"span": six},
        ),
        Alert(
            "TailgateBudgetBurnSlow",
            "ticket",
            f"{now(three_days)} < model:tailgate_objective:ratio\n"
            f"and model:tailgate_tca_upper:ratio_rate{six} < model:tailgate_objective:ratio",
            summary="{{ $labels.model }} is missing its objective",
            description=f"{PERCENT} of requests were answered right and in time over {three_days}, less than promised, "
            f"and the last {six} were surely no better.",
            keep=half_hour,
            labels={"span": three_days},
        ),
    )


def _change(spans: Spans) -> tuple[Alert, ...]:
    hour = spans.hour
    within = spans.windows(15)

    def worse(z: str, count: str) -> str:
        rate = f'model_slice_role:tailgate_{count}:rate{hour.name}{{role="canary"}}'
        return (
            f"model_slice:tailgate_{z}:{hour.name} < -{CANARY_Z}\n"
            f"and on (model, slice) {rate} * {hour.seconds:g} >= {CANARY_LEAST}\n"
            f"and on (model, slice) model_slice:tailgate_{z}_variance:{hour.name} >= {CANARY_VARIANCE}"
        )

    who = "{{ $labels.model }}: the canary is worse than stable"
    by = f"In slice '{{{{ $labels.slice }}}}' it differs by {NUMBER} standard deviations over {hour.name}."
    return (
        Alert(
            "TailgateCanaryWorse",
            "page",
            worse("canary_z", "labelled"),
            summary=f"{who} in time-critical accuracy",
            description=by,
            keep=spans.five.name,
            labels={"measure": "tca"},
            note=f"Looked at again and again, and believed at once, so z = {CANARY_Z}.",
        ),
        Alert(
            "TailgateCanaryWorse",
            "page",
            worse("canary_in_time_z", "requests"),
            summary=f"{who} at answering in time",
            description=by,
            keep=spans.five.name,
            labels={"measure": "in_time"},
        ),
        Alert(
            "TailgateRegression",
            "ticket",
            f"sum by (model, version, slice) (increase(tailgate_detector_alarms_total[{within.range}])) > 0",
            summary="{{ $labels.model }} {{ $labels.version }}: time-critical accuracy has sunk under its objective",
            description="A proxy's detector found that it stays under the objective in slice '{{ $labels.slice }}', "
            "perhaps by little.",
            keep=spans.five.name,
        ),
    )


def _sight(spans: Spans, config: SloConfig) -> tuple[Alert, ...]:
    window, hour, day, ten = spans.window.name, spans.hour.name, spans.day.name, spans.windows(10)
    due = promql(config.labels_due)
    job = f'{{job="{config.job}"}}'
    return (
        Alert(
            "TailgateLabelsStale",
            "ticket",
            f"sum by (model) (increase(tailgate_labelled_requests_total[{due}])) == 0\n"
            "and\n"
            f"sum by (model) (increase(tailgate_due_requests_total[{due}]))\n"
            f"  * avg_over_time(model:tailgate_labelled:rate{window}[{day}] offset {due})\n"
            f"  / (avg_over_time(model:tailgate_requests:rate{window}[{day}] offset {due}) > 0)\n"
            f"  >= {EXPECTED_LEAST}",
            summary="{{ $labels.model }} no longer gets labels",
            description=f"Requests come, but not one label in {due}; time-critical accuracy is not known.",
            labels={"cause": "missing"},
            note=f"As many labels to a request as over the day before would be {EXPECTED_LEAST} or more. Where there\n"
            "were none before, none are missing.",
        ),
        Alert(
            "TailgateLabelsStale",
            "ticket",
            f"histogram_quantile(0.5, sum by (model, le) (rate(tailgate_label_delay_seconds_bucket[{hour}])))\n"
            f"  > {config.labels_due:g}\n"
            f"and model:tailgate_labelled:rate{hour} * {spans.hour.seconds:g} >= {EXPECTED_LEAST}",
            summary="{{ $labels.model }} gets its labels late",
            description=f"Half of the labels of the last {hour} came more than {due} after their request.",
            pending=spans.five.name,
            keep=spans.five.name,
            labels={"cause": "late"},
        ),
        Alert(
            "TailgateNoTraffic",
            "ticket",
            f"sum by (model) (increase(tailgate_due_requests_total[{ten.name}])) == 0\n"
            "and\n"
            f"sum by (model) (increase(tailgate_due_requests_total[{hour}] offset {ten.name})) / 6 >= {EXPECTED_LEAST}",
            summary="{{ $labels.model }} gets no requests",
            description=f"Not one in {ten.name}, where the {hour} before led to expect {EXPECTED_LEAST} or more.",
        ),
        Alert(
            "TailgateTargetDown",
            "page",
            f"max by (job) (up{job}) == 0\nor\nabsent(up{job})",
            summary="No proxy can be scraped",
            description="Either they are all down and nobody is served, or Prometheus cannot see them.",
            pending=spans.windows(2).name,
        ),
        Alert(
            "TailgateTargetDown",
            "ticket",
            f"up{job} == 0",
            summary="{{ $labels.instance }} cannot be scraped",
            description="This proxy or worker is down, or Prometheus cannot reach its admin address.",
            pending=spans.windows(2).name,
        ),
    )


def _causes(spans: Spans, job: str) -> tuple[Alert, ...]:
    five, hour = spans.five, spans.hour
    tried = f"model_outcome:tailgate_requests:rate{hour.name}"
    shed = f'model_outcome:tailgate_requests:rate{five.name}{{outcome=~"{SHED}"}}'
    return (
        Alert(
            "TailgateUpstreamDown",
            "page",
            f'max by (job) (tailgate_upstream_up{{job="{job}"}}) == 0',
            summary="No upstream is ready",
            description="No proxy has a model server that answers that it is ready; nobody is served.",
            pending=spans.windows(1).name,
        ),
        Alert(
            "TailgateUpstreamDown",
            "ticket",
            f'max by (job, upstream) (tailgate_upstream_up{{job="{job}"}}) == 0',
            summary="The upstream {{ $labels.upstream }} is not ready",
            description="No proxy gets the answer from it that it is ready.",
            pending=spans.windows(2).name,
        ),
        Alert(
            "TailgateReloadFailed",
            "ticket",
            f'tailgate_config_reload_success{{job="{job}"}} == 0',
            summary="{{ $labels.instance }} could not use its new configuration",
            description="It goes on with the old one, and would not start with the new one.",
            pending=spans.windows(2).name,
        ),
        Alert(
            "TailgateShedding",
            "ticket",
            f"sum without (outcome) ({shed}) / (model:tailgate_requests:rate{five.name} > 0) > {SHED_SHARE}\n"
            f"and sum without (outcome) ({shed}) * {five.seconds:g} > {SHED_LEAST}",
            summary="{{ $labels.model }}: requests are refused for want of room or time",
            description=f"{PERCENT} of requests were refused over {five.name}: there was no room or time for them.",
            pending=spans.windows(2).name,
            keep=five.name,
        ),
        Alert(
            "TailgateDeadlineMisconfigured",
            "ticket",
            f'sum without (outcome) ({tried}{{outcome=~"{LATE}"}})\n'
            f'  / (sum without (outcome) ({tried}{{outcome=~"ok|{LATE}"}}) > 0)\n'
            "  > 0.5\n"
            f'and sum without (outcome) ({tried}{{outcome=~"ok|{LATE}"}}) * {hour.seconds:g} >= {CANARY_LEAST}',
            summary="{{ $labels.model }}: the usual request takes longer than its deadline",
            description=f"{PERCENT} of the requests that were tried were late over {hour.name}: the median latency is "
            "above the deadline.",
            pending=spans.windows(15).name,
            note="Counted, not read off a histogram: exact, and right where clients bring deadlines of their own.",
        ),
    )
