"""Panels as this project has them: a few kinds, each with its queries, unit and purpose.

In an expression `@` stands for the labels that pick the bridge, and `[rate]` for as long as it
takes to tell how fast something happens.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    timeseries,
)
from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models import prometheus as prometheus_models

SELECTOR: Final = 'job="$job",instance=~"$instance"'
SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDTH: Final = 24
_PANEL_HEIGHT: Final = 8
_NUMBER_HEIGHT: Final = 4
_GREEN: Final = "green"

# An expression and its legend.
Query = tuple[str, str]
Steps = Mapping[float, str]


def asked(expression: str) -> str:
    """Return an expression as Grafana takes it."""
    return expression.replace("@", SELECTOR).replace("[rate]", "[$__rate_interval]")


def _targets(
    queries: Sequence[Query], *, exemplars: bool = False
) -> list[Builder[variants.Dataquery]]:
    found: list[Builder[variants.Dataquery]] = []
    for number, (expression, legend) in enumerate(queries):
        query = (
            prometheus.Dataquery()
            .expr(asked(expression))
            .legend_format(legend)
            .ref_id(chr(ord("A") + number))
            .editor_mode(prometheus_models.QueryEditorMode.CODE)
        )
        found.append(query.range().exemplar(exemplars))
    return found


def _steps(steps: Steps) -> dashboard.ThresholdsConfig:
    """Return colours from values on: green below the first."""
    base = [models.Threshold(value=None, color=_GREEN)]
    return (
        dashboard.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps(base + [models.Threshold(value=at, color=color) for at, color in steps.items()])
    )


def number(  # noqa: PLR0913 - what a panel has, each by name
    title: str,
    expression: str,
    *,
    about: str,
    unit: str = "short",
    steps: Steps | None = None,
    words: Mapping[str, tuple[str, str]] | None = None,
    span: int = 3,
    decimals: int | None = None,
) -> stat.Panel:
    """Return one large number, its course behind it. `words` give values words and colours."""
    panel = (
        stat.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .targets(_targets([(expression, title)]))
        .unit(unit)
        .thresholds(_steps(steps or {}))
        .color_mode(
            common_models.BigValueColorMode.VALUE
            if steps or words
            else common_models.BigValueColorMode.NONE
        )
        .graph_mode(common_models.BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .span(span)
        .height(_NUMBER_HEIGHT)
    )
    if decimals is not None:
        panel.decimals(decimals)
    if words is not None:
        panel.mappings([_words(words)]).graph_mode(common_models.BigValueGraphMode.NONE)
    return panel


def _words(words: Mapping[str, tuple[str, str]]) -> models.ValueMap:
    return models.ValueMap(
        options={
            value: models.ValueMappingResult(text=text, color=color, index=index)
            for index, (value, (text, color)) in enumerate(words.items())
        }
    )


def lines(
    title: str,
    *queries: Query,
    about: str,
    unit: str = "short",
    steps: Steps | None = None,
    is_stacked: bool = False,
    has_exemplars: bool = False,
    span: int = 12,
) -> timeseries.Panel:
    """Return courses over time; `steps` draws lines that they should stay below."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .targets(_targets(queries, exemplars=has_exemplars))
        .unit(unit)
        .min(0)
        .line_width(1)
        .fill_opacity(40 if is_stacked else 8)
        .show_points(common_models.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_models.TooltipDisplayMode.MULTI)
            .sort(common_models.SortOrder.DESCENDING)
        )
        .span(span)
        .height(_PANEL_HEIGHT)
    )
    if is_stacked:
        panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A"))
    if steps:
        style = common.GraphThresholdsStyleConfig()
        panel.thresholds(_steps(steps)).thresholds_style(
            style.mode(common_models.GraphThresholdsStyleMode.DASHED)
        )
    return panel


def heat(title: str, expression: str, *, about: str, span: int = 12) -> heatmap.Panel:
    """Return a heat map of a histogram's buckets: how many took how long, over time."""
    query = (
        prometheus.Dataquery()
        .expr(asked(expression))
        .legend_format("{{le}}")
        .ref_id("A")
        .range()
        .format(prometheus_models.PromQueryFormat.HEATMAP)
        .exemplar(exemplar=True)
    )
    return (
        heatmap.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .with_target(query)
        .calculate(calculate=False)
        .cell_gap(1)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heatmap_models.HeatmapColorMode.SCHEME)
            .scheme("Oranges")
            .steps(64)
        )
        .y_axis(heatmap.YAxisConfig().unit("s").axis_placement(common_models.AxisPlacement.LEFT))
        .show_legend()
        .span(span)
        .height(_PANEL_HEIGHT)
    )


def states(
    title: str,
    *queries: Query,
    about: str,
    words: Mapping[str, tuple[str, str]],
    span: int = 12,
) -> statetimeline.Panel:
    """Return bands over time, one a series, coloured by what each is just then."""
    return (
        statetimeline.Panel()
        .title(title)
        .description(about)
        .datasource(SOURCE)
        .targets(_targets(queries))
        .mappings([_words(words)])
        .thresholds(_steps({}))
        .show_value(common_models.VisibilityMode.NEVER)
        .span(span)
        .height(_PANEL_HEIGHT)
    )


def quantiles(histogram: str, by: str = "", *, of: Sequence[int] = (50, 95, 99)) -> list[Query]:
    """Return queries for quantiles of a histogram (its name and selector, as in `x_bucket{@}`)."""
    series = f"sum by (le) (rate({histogram}[rate]))"
    return [(f"histogram_quantile({share / 100:g}, {series})", f"{by}p{share}") for share in of]


def row(title: str) -> dashboard.Row:
    """Return a heading."""
    return dashboard.Row(title)


def board(uid: str, title: str, about: str, *panels: Any) -> dashboard.Dashboard:
    """Return a dashboard whose data source, job and instance whoever looks may choose."""
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(about)
        .tags(["aventa-bridge"])
        .timezone("browser")
        .time("now-3h", "now")
        .refresh("30s")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .variables(
            [
                dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"),
                _labels("job", "Job", "label_values(bridge_build_info, job)"),
                _labels(
                    "instance",
                    "Instance",
                    'label_values(bridge_build_info{job="$job"}, instance)',
                    has_all=True,
                ),
            ]
        )
        .link(
            dashboard.DashboardLink("Aventa bridge")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["aventa-bridge"])
            .as_dropdown(as_dropdown=True)
            .keep_time(keep_time=True)
            .include_vars(include_vars=True)
        )
    )
    for panel in panels:
        if isinstance(panel, dashboard.Row):
            made.with_row(panel)
        else:
            made.with_panel(panel)
    return made


def _labels(name: str, label: str, query: str, *, has_all: bool = False) -> dashboard.QueryVariable:
    variable = (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )
    if has_all:
        variable.include_all(include_all=True).all_value(".*")
        variable.current(models.VariableOption(text="All", value="$__all"))
    return variable
