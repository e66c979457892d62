"""Bars of a recorded run."""

from xml.etree import ElementTree

from benches.peers.advantage import OURS
from benches.peers.metrics import PER_S, UPSTREAM
from benches.peers.plot import PLOTS, Panel, svg
from benches.peers.samples import Run
from benches.peers.scenarios import SCENARIOS

SPACE = {"svg": "http://www.w3.org/2000/svg"}


def bars(picture: str) -> list[tuple[float, str]]:
    """Length and colour of each."""
    found = ElementTree.fromstring(picture).findall(".//svg:g/svg:rect", SPACE)
    return [(float(bar.attrib["width"]), bar.attrib["fill"]) for bar in found]


def test_bars_are_as_long_as_the_figures(recorded: Run) -> None:
    drawn = bars(svg(recorded, "Speed", (Panel("Ranges", "ranges-50kib-1-tag", PER_S),)))
    ours, theirs = drawn[0], drawn[1]
    assert len(drawn) == 2
    assert ours[0] == 10 * theirs[0]
    assert ours[1] != theirs[1]


def test_who_cannot_is_named_without_a_bar(recorded: Run) -> None:
    picture = svg(recorded, "Saved", (Panel("Storm", "storm-limited", UPSTREAM),))
    assert len(bars(picture)) == 2
    said = [text.text for text in ElementTree.fromstring(picture).findall(".//svg:text", SPACE)]
    assert said[said.index("nginx static") + 1] == "cannot"


def test_panels_without_figures_are_left_out(recorded: Run) -> None:
    assert bars(svg(recorded, "Nothing", (Panel("Storm", "storm", UPSTREAM),))) == []


def test_panels_ask_for_what_scenarios_measure() -> None:
    shown = {scenario.key: scenario.metrics for scenario in SCENARIOS}
    for _, panels in PLOTS.values():
        assert all(panel.metric in shown[panel.scenario] for panel in panels)


def test_ours_is_a_system_that_there_is(recorded: Run) -> None:
    assert OURS in recorded.systems
