"""What the panels of every dashboard look like: one function per kind, with the choices made once.

Only kinds that Grafana ships as its own and whose parts can be drawn outside of it, so that a picture can be checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from grafana_foundation_sdk.builders import bargauge, stat, timeseries
from grafana_foundation_sdk.builders import common as shared
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import common, dashboard

from tailgate_dashboards.marks import option
from tailgate_dashboards.targets import DATASOURCE, Query, transformation, with_queries

RED, AMBER, GREEN, NEUTRAL = "#D55E00", "#E69F00", "#009E73", "text"

Steps = tuple[tuple[float | None, str], ...]
"""Colours from a value on, the first from minus infinity."""


def graph(
    title: str,
    about: str,
    unit: str,
    *queries: Query,
    stacked: bool = False,
    bars: bool = False,
    least: str = "1m",
    low: float | None = None,
    high: float | None = None,
    decimals: int | None = None,
    logarithmic: bool = False,
    totals: Iterable[str] = ("lastNotNull", "min"),
) -> timeseries.Panel:
    """Series over time.

    Args:
        title: What is shown.
        about: The description: what exactly, and what to think of it.
        unit: Grafana's id of the unit.
        queries: What is drawn.
        stacked: Draw areas on top of each other: for parts of a whole.
        bars: Draw bars rather than lines: for counts of events.
        least: The shortest step; ``$__rate_interval`` is at least this long.
        low: Where the axis begins at most.
        high: Where it ends at least.
        decimals: Digits behind the point.
        logarithmic: Draw the axis by powers of ten.
        totals: What the legend says of each series; with nothing to say it is one line, for many series.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(about)
        .datasource(DATASOURCE)
        .unit(unit)
        .interval(least)
        .line_width(1)
        .fill_opacity(70 if stacked or bars else 0)
        .draw_style(common.GraphDrawStyle.BARS if bars else common.GraphDrawStyle.LINE)
        .show_points(common.VisibilityMode.NEVER)
        .span_nulls(False)  # noqa: FBT003  # the builder's signature
        .legend(
            shared.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.TABLE if totals else common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)  # noqa: FBT003  # the builder's signature
            .calcs(list(totals))
        )
        .tooltip(shared.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
    )
    if stacked:
        panel.stacking(shared.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if logarithmic:
        panel.scale_distribution(shared.ScaleDistributionConfig().type(common.ScaleDistribution.LOG).log(10))
    if low is not None:
        panel.axis_soft_min(low)
    if high is not None:
        panel.axis_soft_max(high)
    if decimals is not None:
        panel.decimals(decimals)
    return with_queries(panel, queries)


def figure(
    title: str,
    about: str,
    unit: str,
    *queries: Query,
    steps: Steps = ((None, NEUTRAL),),
    nothing: str = "No data",
    decimals: int | None = None,
    names: bool = False,
    words: Mapping[str, str] | None = None,
    size: int | None = None,
) -> stat.Panel:
    """A number of this moment, or one for each series.

    Args:
        title: What is shown.
        about: The description.
        unit: Grafana's id of the unit.
        queries: What is shown; instant, whatever they say.
        steps: Colours by value.
        nothing: What stands there where there is no value: no data is not zero.
        decimals: Digits behind the point.
        names: Show the series' names also where there is one only.
        words: What stands there instead of a value.
        size: Of the letters, for words; numbers fit by themselves.
    """
    panel = (
        stat.Panel()
        .title(title)
        .description(about)
        .datasource(DATASOURCE)
        .unit(unit)
        .no_value(nothing)
        .thresholds(_thresholds(steps))
        .color_scheme(build.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.NONE)
        .justify_mode(common.BigValueJustifyMode.CENTER)
        .text_mode(common.BigValueTextMode.VALUE_AND_NAME if names else common.BigValueTextMode.AUTO)
        .reduce_options(shared.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    if decimals is not None:
        panel.decimals(decimals)
    if size is not None:
        panel.text(shared.VizTextDisplayOptions().value_size(size))
    if words:
        panel.mappings([_words(words)])
    return with_queries(panel, [Query(query.expr, query.legend, instant=True) for query in queries])


def bars(
    title: str,
    about: str,
    unit: str,
    query: Query,
    *,
    name: str | None = None,
    name_unit: str = "none",
    high: float | None = None,
) -> bargauge.Panel:
    """A bar for each series of this moment, or, where `name` is a label, for each row, in the order of that number.

    Args:
        title: What is shown.
        about: The description.
        unit: Grafana's id of the unit.
        query: What is shown; instant.
        name: The label whose values, which are numbers, name the bars.
        name_unit: Their unit.
        high: What a full bar stands for.
    """
    panel = (
        bargauge.Panel()
        .title(title)
        .description(about)
        .datasource(DATASOURCE)
        .unit(unit)
        .min(0)
        .no_value("No data")
        .display_mode(common.BarGaugeDisplayMode.BASIC)
        .orientation(common.VizOrientation.HORIZONTAL)
        .text(shared.VizTextDisplayOptions().title_size(11).value_size(14))
        .value_mode(common.BarGaugeValueMode.TEXT)
        .show_unfilled(True)  # noqa: FBT003  # the builder's signature
        .thresholds(_thresholds(((None, "#5794F2"),)))
        .color_scheme(build.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
    )
    if high is not None:
        panel.max(high)
    if name is None:
        panel.reduce_options(shared.ReduceDataOptions().calcs(["lastNotNull"]))
        return with_queries(panel, [Query(query.expr, query.legend, instant=True)])
    panel.override_by_name(name, [option("unit", name_unit)])
    panel.reduce_options(shared.ReduceDataOptions().values(True).calcs([]))  # noqa: FBT003  # the builder's signature
    panel.transformations(
        [
            transformation("convertFieldType", conversions=[{"targetField": name, "destinationType": "number"}]),
            transformation("sortBy", sort=[{"field": name, "desc": False}]),
            transformation("convertFieldType", conversions=[{"targetField": name, "destinationType": "string"}]),
            transformation(
                "organize", excludeByName={"Time": True}, indexByName={name: 0, "Value": 1}, renameByName={}
            ),
        ]
    )
    return with_queries(panel, [query], as_table=True)


def _thresholds(steps: Steps) -> build.ThresholdsConfig:
    return (
        build.ThresholdsConfig()
        .mode(dashboard.ThresholdsMode.ABSOLUTE)
        .steps([dashboard.Threshold(value=value, color=colour_) for value, colour_ in steps])
    )


def _words(words: Mapping[str, str]) -> dashboard.ValueMap:
    return dashboard.ValueMap(
        options={
            value: dashboard.ValueMappingResult(text=text, index=i) for i, (value, text) in enumerate(words.items())
        }
    )
