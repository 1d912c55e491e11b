"""What is done to a panel that is there: colours of series, grey ground for volume, dashed bounds, links onward."""

from __future__ import annotations

from collections.abc import Mapping

from grafana_foundation_sdk.builders import bargauge, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard

Panel = timeseries.Panel | stat.Panel | table.Panel | bargauge.Panel


def option(name: str, value: object) -> dashboard.DynamicConfigValue:
    """One field option that some series have beside the panel's."""
    return dashboard.DynamicConfigValue(id_val=name, value=value)


def colour(panel: Panel, colours: Mapping[str, str]) -> None:
    """Give series their colours by name."""
    for name, value in colours.items():
        panel.override_by_name(name, [option("color", {"mode": "fixed", "fixedColor": value})])


def volume(panel: timeseries.Panel, name: str, unit: str = "reqps") -> None:
    """Draw a series as grey ground behind the others, on an axis of its own at the right."""
    panel.override_by_name(
        name,
        [
            option("unit", unit),
            option("color", {"mode": "fixed", "fixedColor": "#8E8E8E"}),
            option("custom.axisPlacement", "right"),
            option("custom.axisLabel", name),
            option("custom.fillOpacity", 12),
            option("custom.lineWidth", 0),
            option("custom.axisSoftMin", 0),
            option("decimals", None),
        ],
    )


def bound(panel: timeseries.Panel, expression: str, shade: str) -> None:
    """Draw the series whose names match as a dashed line: an objective, a floor, a deadline."""
    panel.override_by_regexp(
        expression,
        [
            option("color", {"mode": "fixed", "fixedColor": shade}),
            option("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
            option("custom.lineWidth", 2),
            option("custom.fillOpacity", 0),
            option("custom.stacking", {"mode": "none", "group": "A"}),
        ],
    )


def dotted(panel: timeseries.Panel, expression: str) -> None:
    """Draw the series whose names match as a dotted line: what chance would show."""
    panel.override_by_regexp(
        expression,
        [
            option("color", {"mode": "fixed", "fixedColor": "#CC79A7"}),
            option("custom.lineStyle", {"fill": "dot", "dash": [2, 4]}),
            option("custom.lineWidth", 2),
        ],
    )


def unmeasured(panel: timeseries.Panel, expression: str, ends: str) -> None:
    """Draw the series whose names match as what is not measured: dashed, the ends of its interval thin and unlisted."""
    shade = option("color", {"mode": "fixed", "fixedColor": "#0072B2"})
    panel.override_by_regexp(
        expression,
        [shade, option("custom.lineStyle", {"fill": "dash", "dash": [4, 4]}), option("custom.lineWidth", 2)],
    )
    panel.override_by_regexp(
        ends,
        [
            shade,
            option("custom.lineStyle", {"fill": "dot", "dash": [1, 3]}),
            option("custom.hideFrom", {"legend": True, "tooltip": False, "viz": False}),
        ],
    )


def link(panel: Panel, *links: tuple[str, str]) -> None:
    """Lead on from a panel: titles and addresses."""
    panel.links([build.DashboardLink(title).type(dashboard.DashboardLinkType.LINK).url(url) for title, url in links])
