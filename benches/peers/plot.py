"""Bars of a run as SVG: a panel for each question, a bar for each system. Text, so that a new run is a small diff."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from benches.peers import metrics
from benches.peers.advantage import OURS
from benches.peers.metrics import Better, Metric
from benches.peers.samples import FAILED
from benches.peers.table import figure

if TYPE_CHECKING:
    from benches.peers.samples import Run


@dataclass(frozen=True)
class Panel:
    """One metric of one scenario."""

    title: str
    scenario: str
    metric: Metric


SAVED = (
    Panel("50 clients at once", "storm-limited", metrics.UPSTREAM),
    Panel("Two repositories, same layers", "shared-layers", metrics.UPSTREAM),
    Panel("One platform of six", "six-platforms", metrics.UPSTREAM),
    Panel("The client leaves at half", "client-abort", metrics.UPSTREAM),
    Panel("The connection breaks at half", "upstream-cut", metrics.UPSTREAM),
    Panel("Killed at three quarters", "kill", metrics.UPSTREAM),
)
SPEED = (
    Panel("Cold storm, upstream 50 MB/s: median first byte, ms", "storm-limited", metrics.FIRST_P50),
    Panel("Warm layer: GB/s", "warm-blob", metrics.GB_PER_S),
    Panel("Ranges of 50 KiB: requests/s", "ranges-50kib-1-tag", metrics.PER_S),
    Panel("Pulls by tag, upstream at 200 ms: requests/s", "tags-200ms", metrics.PER_S),
    Panel("500 slow clients: memory, MB", "slow-clients", metrics.MEMORY),
    Panel("Push: MB/s", "push", metrics.MB_PER_S),
)
#: File beside the page: what it shows, and its panels.
PLOTS = {
    "benchmarks-upstream.svg": ("What upstream sent, over what was asked for", SAVED),
    "benchmarks-speed.svg": ("Speed and memory", SPEED),
}

_COLUMNS = 2
_PANEL = 420
_NAME = 132
_BAR = 190
_ROW = 20
_HEAD = 46
_OURS, _OTHERS, _INK, _FAINT = "#1a7f5a", "#b4bcc4", "#1f2328", "#656d76"


def svg(run: Run, title: str, panels: tuple[Panel, ...]) -> str:
    """The picture; panels without a figure are left out."""
    drawn = [lines for panel in panels if (lines := _panel(run, panel))]
    height = max((len(lines) for lines in drawn), default=0)
    step = _HEAD + (len(run.systems) + 1) * _ROW
    rows = -(-len(drawn) // _COLUMNS)
    width, total = _COLUMNS * _PANEL + 20, 44 + rows * step
    assert height <= step
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {total}" width="{width}" height="{total}" '
        'font-family="system-ui, sans-serif" font-size="13">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{total}" fill="#ffffff"/>',
        _text(20, 28, title, _INK, 'font-size="17" font-weight="600"'),
    ]
    for number, lines in enumerate(drawn):
        x, y = 20 + number % _COLUMNS * _PANEL, 44 + number // _COLUMNS * step
        out += [f'<g transform="translate({x},{y})">', *lines, "</g>"]
    return "\n".join([*out, "</svg>", ""])


def _panel(run: Run, panel: Panel) -> list[str]:
    values = {name: run.median(panel.scenario, name, panel.metric) for name in run.systems}
    largest = max((value for value in values.values() if value is not None), default=0)
    if not largest:
        return []
    better = "more is better" if panel.metric.better is Better.HIGHER else "less is better"
    lines = [
        _text(0, 18, panel.title, _INK, 'font-weight="600"'),
        _text(0, 34, better, _FAINT, 'font-size="11"'),
    ]
    cannot = run.cannot.get(panel.scenario, {})
    for row, (name, value) in enumerate(values.items()):
        y = _HEAD + row * _ROW
        lines.append(_text(_NAME - 8, y + 11, name, _INK, 'text-anchor="end"'))
        if value is None:
            said = "cannot" if name in cannot and not cannot[name].startswith(FAILED) else "not measured"
            lines.append(_text(_NAME, y + 11, said, _FAINT, 'font-style="italic"'))
            continue
        width = max(1.0, _BAR * value / largest)
        color = _OURS if name == OURS else _OTHERS
        lines.append(f'<rect x="{_NAME}" y="{y}" width="{width:.1f}" height="{_ROW - 6}" rx="2" fill="{color}"/>')
        lines.append(_text(_NAME + width + 6, y + 11, figure(value), _INK))
    return lines


def _text(x: float, y: float, said: str, color: str, more: str = "") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" fill="{color}"{" " if more else ""}{more}>{escape(said)}</text>'
