"""What a panel asks of Prometheus, and what Grafana does with the answer before it draws: of every kind of panel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import bargauge, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")

_Kind = TypeVar("_Kind", timeseries.Panel, stat.Panel, table.Panel, bargauge.Panel)


@dataclass(frozen=True)
class Query:
    """One expression and what its series are called.

    Attributes:
        expr: PromQL.
        legend: The series' name, with ``{{label}}`` for a label's value.
        instant: Whether only the newest moment counts; a range that ends in old data never passes for now.
    """

    expr: str
    legend: str = ""
    instant: bool = False


def with_queries(panel: _Kind, queries: Iterable[Query], *, as_table: bool = False) -> _Kind:
    """Have a panel ask them, and give it back; its answers are named by `ref`."""
    for index, query in enumerate(queries):
        target = prometheus.Dataquery().ref_id(ref(index)).expr(query.expr).datasource(DATASOURCE)
        target.format(PromQueryFormat.TABLE if as_table else PromQueryFormat.TIME_SERIES)
        if query.legend:
            target.legend_format(query.legend)
        panel.with_target(target.instant() if query.instant else target.range())
    return panel


def ref(index: int) -> str:
    """The letter of a panel's query, by its place from 0."""
    return chr(ord("A") + index)


def transformation(name: str, **options: object) -> dashboard.DataTransformerConfig:
    """One of Grafana's own, by its id."""
    return dashboard.DataTransformerConfig(id_val=name, options=options)
