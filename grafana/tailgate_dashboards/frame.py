"""What every dashboard has around its panels: variables, links to its siblings, annotations, its place in Grafana."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard

from tailgate_dashboards.marks import Panel
from tailgate_dashboards.queries import MODELS
from tailgate_dashboards.targets import DATASOURCE

TAG = "tailgate"
RUNBOOKS = "docs/runbooks"
"""Until somebody says where theirs are served."""
_INFO = f"max by (model, version, role) (tailgate_model_info{{{MODELS}}})"
_KEPT = "${__url_time_range}&" + "&".join(
    f"${{{name}:queryparam}}" for name in ("datasource", "job", "instance", "model", "version", "slice")
)


def link_to(uid: str) -> str:
    """The address of a sibling, with the same time and the same choices."""
    return f"/d/{uid}?{_KEPT}"


def runbook(alert: str) -> str:
    """The address of an alert's runbook."""
    return f"${{runbooks}}/{alert}.md"


class PrometheusAnnotation(dashboard.AnnotationQuery):
    """An annotation whose events are the points of a PromQL expression; the SDK knows only those of Grafana itself."""

    def __init__(self, name: str, expr: str, colour: str, title: str, text: str) -> None:
        """One event at each point above zero; `title` and `text` may name labels as ``{{label}}``."""
        super().__init__(name=name, datasource=DATASOURCE, enable=True, icon_color=colour)
        self._expr, self._title, self._text = expr, title, text

    def to_json(self) -> dict[str, object]:
        """As the SDK encodes it, with the fields of the Prometheus data source."""
        target = {"expr": self._expr, "interval": "1m", "refId": "Anno"}
        return super().to_json() | {"target": target, "titleFormat": self._title, "textFormat": self._text}


def frame(uid: str, title: str, about: str, *, hours: int = 6) -> build.Dashboard:
    """A dashboard without panels yet.

    Args:
        uid: Its fixed address in Grafana.
        title: Its name.
        about: The one question that it answers.
        hours: How far back it looks when it is opened.
    """
    page = (
        build.Dashboard(title)
        .uid(uid)
        .description(about)
        .tags([TAG])
        .readonly()
        .timezone("browser")
        .refresh("1m")
        .time(f"now-{hours}h", "now")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .link(
            build.DashboardLink("Tailgate")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)  # noqa: FBT003  # the builder's signature
            .keep_time(True)  # noqa: FBT003  # the builder's signature
        )
    )
    page.with_variable(build.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    for name, label, source, anything in (
        ("job", "Job", "tailgate_build_info", ".+"),
        ("instance", "Instance", 'tailgate_build_info{job=~"$job"}', ".+"),
        ("model", "Model", 'tailgate_requests_total{job=~"$job",instance=~"$instance"}', ".*"),
        ("version", "Version", f"tailgate_requests_total{{{MODELS}}}", ".*"),
        ("slice", "Slice", f"tailgate_requests_total{{{MODELS}}}", ".*"),
    ):
        page.with_variable(
            build.QueryVariable(name)
            .label(label)
            .datasource(DATASOURCE)
            .query({"query": f"label_values({source}, {name})", "refId": "Variable"})
            .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
            .multi(True)  # noqa: FBT003  # the builder's signature
            .include_all(True)  # noqa: FBT003  # the builder's signature
            .all_value(anything)  # a label that is empty is absent: ".+" would hide all that has no slice
            .current(dashboard.VariableOption(selected=True, text="All", value="$__all"))
        )
    page.with_variable(build.TextBoxVariable("runbooks").label("Runbooks at").default_value(RUNBOOKS))
    events = [
        PrometheusAnnotation(
            "Versions",
            f"({_INFO}) unless ({_INFO.replace('}', '} offset 1m')})",
            "#56B4E9",
            "{{model}} {{version}} is {{role}}",
            "A version or its role is new here.",
        ),
        PrometheusAnnotation(
            "Versions gone",
            f"({_INFO.replace('}', '} offset 1m')}) unless ({_INFO})",
            "#999999",
            "{{model}} {{version}} is no longer {{role}}",
            "No replica knows this version in this role any more.",
        ),
        PrometheusAnnotation(
            "Detector",
            f"increase(tailgate_detector_alarms_total{{{MODELS}}}[1m]) > 0",
            "#D55E00",
            "Regression of {{model}} {{version}} {{slice}}",
            "The detector of {{instance}} has enough evidence that time-critical accuracy fell.",
        ),
    ]
    page.annotations([_Built(event) for event in events])
    return page


class _Built(Builder[dashboard.AnnotationQuery]):
    """An annotation that is built already, where the SDK wants a builder."""

    def __init__(self, annotation: dashboard.AnnotationQuery) -> None:
        self._annotation = annotation

    def build(self) -> dashboard.AnnotationQuery:
        return self._annotation


def section(page: build.Dashboard, title: str, *line: tuple[Panel, int, int]) -> None:
    """Add a titled section: panels with their widths, of 24, and heights."""
    page.with_row(build.Row(title))
    for panel, width, height in line:
        page.with_panel(panel.span(width).height(height))
