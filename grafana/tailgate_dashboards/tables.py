"""What the tables of every dashboard look like: a row for each set of labels, a column for each query."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common as shared
from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.models import common

from tailgate_dashboards.marks import option
from tailgate_dashboards.panels import Steps
from tailgate_dashboards.targets import DATASOURCE, Query, ref, transformation, with_queries


@dataclass(frozen=True)
class Column:
    """A column of a table: what is asked, its heading, its unit.

    Attributes:
        heading: Above it.
        expr: PromQL; one row for each set of labels, the same labels in all columns.
        unit: Grafana's id of the unit.
        steps: Colours of the numbers, where they have any.
        decimals: Digits behind the point.
    """

    heading: str
    expr: str
    unit: str
    steps: Steps = ()
    decimals: int | None = None


def rows(
    title: str,
    about: str,
    labels: Mapping[str, str],
    columns: list[Column],
    *,
    sort: str | None = None,
    nothing: str = "No data",
    hidden: Iterable[str] = (),
) -> table.Panel:
    """A table of this moment: a row for each set of labels, a column for each query.

    Args:
        title: What is shown.
        about: The description.
        labels: Labels that are columns, and their headings.
        columns: The numbers.
        sort: The heading by which rows are sorted, the smallest first.
        nothing: What stands there where there is no row.
        hidden: Further labels, that are not shown.
    """
    panel = (
        table.Panel()
        .title(title)
        .description(about)
        .datasource(DATASOURCE)
        .unit("short")
        .no_value(nothing)
        .align(common.FieldTextAlignment.AUTO)
        .min_width(80)
    )
    values = [f"Value #{ref(index)}" for index in range(len(columns))] if len(columns) > 1 else ["Value"]
    order = [*labels, *values]
    panel.transformations(
        [
            *([transformation("merge")] if len(columns) > 1 else []),
            transformation(
                "organize",
                excludeByName=dict.fromkeys(["Time", *hidden], True),
                indexByName={name: index for index, name in enumerate(order)},
                renameByName={
                    **labels,
                    **{value: column.heading for value, column in zip(values, columns, strict=True)},
                },
            ),
        ]
    )
    for column in columns:
        properties = [option("unit", column.unit)]
        if column.decimals is not None:
            properties.append(option("decimals", column.decimals))
        if column.steps:
            steps = [{"color": colour, "value": value} for value, colour in column.steps]
            properties.append(option("thresholds", {"mode": "absolute", "steps": steps}))
            properties.append(option("custom.cellOptions", {"type": "color-text"}))
            properties.append(option("color", {"mode": "thresholds"}))
        panel.override_by_name(column.heading, properties)
    if sort is not None:
        panel.sort_by([shared.TableSortByFieldState().display_name(sort).desc(False)])  # noqa: FBT003  # as above
    return with_queries(panel, [Query(column.expr, instant=True) for column in columns], as_table=True)
