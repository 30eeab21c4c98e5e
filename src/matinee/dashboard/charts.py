"""Charts as options of ECharts: thin lines over one axis, in colours that the page's style sheet names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SERIES_COLOURS", "Line", "line_chart"]

SERIES_COLOURS: Final = 8  # --series-0 and so on in the style sheet
_FEW: Final = 30


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    Attributes:
        name: in the legend.
        colour: place among the colours of series.
        points: (x, y), in order of x; a y of None is a gap.
        dashed: drawn dashed.
    """

    name: str
    colour: int
    points: Sequence[tuple[float, float | None]]
    dashed: bool = False


def line_chart(lines: Sequence[Line], *, x_name: str, from_zero: bool = True, whole_x: bool = False) -> dict[str, Any]:
    """The options of a chart with these lines.

    NiceGUI evaluates keys with a leading ':' in the browser, so that a colour is the style sheet's, light or dark. No
    text that comes from a file is ever such a key.
    """
    return {
        "animation": False,
        "grid": {"left": 8, "right": 14, "top": 34, "bottom": 24, "containLabel": True},
        "legend": {"top": 0, "left": 0, "type": "scroll", "itemWidth": 18, "textStyle": _ink(), **_pages()},
        "tooltip": {"trigger": "axis", "confine": True, "renderMode": "richText"},
        "xAxis": {
            "type": "value",
            "name": x_name,
            "nameLocation": "middle",
            "nameGap": 22,
            "min": "dataMin",
            "max": "dataMax",
            "minInterval": 1 if whole_x else 0,
            "splitLine": {"show": False},
            "axisLabel": _ink() | {"hideOverlap": True, "showMaxLabel": False},
            "nameTextStyle": _ink(),
            "axisLine": {"lineStyle": {":color": _variable("--grid")}},
        },
        "yAxis": {
            "type": "value",
            "scale": not from_zero,
            "splitNumber": 4,
            "axisLabel": _ink(),
            "splitLine": {"lineStyle": {":color": _variable("--grid")}},
        },
        "series": [_series(line) for line in lines],
    }


def _series(line: Line) -> dict[str, Any]:
    colour = _variable(f"--series-{line.colour % SERIES_COLOURS}")
    return {
        "type": "line",
        "name": line.name,
        "data": [list(point) for point in line.points],
        "symbol": "circle",
        "symbolSize": 4,
        # A window between two empty ones would not be seen; many symbols are a smear.
        "showSymbol": len(line.points) <= _FEW or any(y is None for _, y in line.points),
        "lineStyle": {"width": 2, "type": "dashed" if line.dashed else "solid", ":color": colour},
        "itemStyle": {":color": colour},
    }


def _ink() -> dict[str, Any]:
    return {":color": _variable("--ink-soft"), "fontSize": 12}


def _pages() -> dict[str, Any]:
    return {":pageIconColor": _variable("--ink-soft"), "pageTextStyle": _ink()}


def _variable(name: str) -> str:
    return f"getComputedStyle(document.body).getPropertyValue('{name}').trim()"
