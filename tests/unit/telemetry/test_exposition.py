"""Reading what all slots wrote."""

from pathlib import Path

from pyregistry.telemetry import exposition, metrics


def test_nothing_was_counted_yet(tmp_path: Path) -> None:
    assert exposition.render(tmp_path / "none") == b""
    assert exposition.upstreams(tmp_path / "none") == {}


def test_a_file_that_is_just_being_made_does_not_matter(run_folder: Path) -> None:
    metrics.install(run_folder, 0).upstream("a").served(1)
    (run_folder / "counter_1.db").touch()
    assert exposition.upstreams(run_folder)["a"].served == 1


def test_totals_of_an_upstream(run_folder: Path) -> None:
    for slot in (0, 1):
        upstream = metrics.install(run_folder, slot).upstream("docker.io")
        for result in ("hit", "joined", "miss", "error"):
            upstream.request("blob", result)
        upstream.request("manifest", "stale")
        upstream.asked("blob", 200)
        upstream.asked("token", 200)
        upstream.received(100)
        upstream.served(400)
        upstream.quota(50)
    totals = exposition.upstreams(run_folder)["docker.io"]
    assert (totals.answered, totals.requests, totals.received, totals.served) == (10, 4, 200, 800)
    assert totals.hit_ratio == 0.6
    assert totals.saved == 600
    assert totals.quota_remaining == 50


def test_an_upstream_nobody_asked_for(run_folder: Path) -> None:
    metrics.install(run_folder, 0).upstream("a")
    totals = exposition.upstreams(run_folder)["a"]
    assert totals.hit_ratio is None
    assert totals.saved == 0


def test_the_order_of_series_does_not_depend_on_the_file_system(run_folder: Path) -> None:
    for slot in (3, 1, 2):
        metrics.install(run_folder, slot).upstream(f"u{slot}").served(1)
    assert exposition.render(run_folder) == exposition.render(run_folder)
    assert list(exposition.upstreams(run_folder)) == ["u1", "u2", "u3"]
