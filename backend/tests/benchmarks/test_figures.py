"""How times become ratios and verdicts, and the report that shows them."""

from __future__ import annotations

import json
from contextlib import nullcontext
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from benchmarks import __main__ as program
from benchmarks import report
from benchmarks.figures import Figure, Measurement, WrongCount, percentile
from benchmarks.measure import Side, alternate
from benchmarks.options import Options


def measurement(**more):
    values = {"goal": 0.5, "stretch": 1.0, "ours": (2.0, 1.0, 4.0), "limit": (1.0, 0.8, 4.4)}
    return Measurement(**({"group": "import", "name": "some cards", "cards": 100} | values | more))


def test_a_ratio_is_the_median_of_the_rounds_other_seconds_by_ours():
    one = measurement()
    assert one.ratios == pytest.approx((0.5, 0.8, 1.1))
    assert one.ratio == pytest.approx(0.8)
    assert one.spread == pytest.approx((0.5, 1.1))
    assert (one.reached, one.stretched) == (True, False)
    assert measurement(goal=0.81).reached is False
    assert measurement(goal=None).reached is None


def test_rounds_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match="rounds"):
        measurement(limit=(1.0,))


def test_a_figure_is_better_the_smaller_it_is():
    one = Figure("memory", "API", 150.0, "MB", at_most=160, stretch=120)
    assert (one.reached, one.stretched) == (True, False)
    assert Figure("memory", "API", 161.0, "MB", at_most=160).reached is False


@pytest.mark.parametrize(("share", "wanted"), [(0.5, 50), (0.95, 95), (0.99, 99), (1, 100), (0, 1)])
def test_percentiles_are_nearest_ranks(share, wanted):
    assert percentile(range(100, 0, -1), share) == wanted


def test_no_values_have_no_percentile():
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_sides_take_turns_and_the_order_turns_every_round():
    order: list[str] = []
    sides = {
        name: Side(lambda given: order.append(given), lambda *_: 7, 7, lambda name=name: name)
        for name in "AB"
    }
    seconds = alternate(sides, 3)
    assert "".join(order) == "BA" + "AB" + "BA" + "AB"  # the first pair is not counted
    assert [len(seconds[name]) for name in "AB"] == [3, 3]


def test_a_wrong_count_ends_the_comparison():
    sides = {"A": Side(lambda _: 6, lambda _, found: found, 7)}
    with pytest.raises(WrongCount, match="A: 6 cards instead of 7"):
        alternate(sides, 1)


def test_a_run_writes_table_and_figures_and_says_which_goals_are_missed(tmp_path, monkeypatch, capsys):
    group = type("Group", (), {"run": staticmethod(lambda options: [measurement(), slow()])})
    status = run(monkeypatch, tmp_path, group)
    printed = capsys.readouterr().out
    assert status == 0
    assert "MISSED  memory: API: 200.0 MB, at most 160" in printed
    assert "1 of 2 goals reached" in printed
    document = json.loads((tmp_path / "report.json").read_text())
    assert document["options"] == {"cards": 50, "rounds": 5, "against": []}
    assert document["postgresql"]["fsync"] == document["postgresql"]["synchronous_commit"] == "on"
    assert [one["reached"] for one in document["results"]] == [True, False]
    page = (tmp_path / "report.md").read_text()
    assert "| some cards | 100 | 2.000 | 1.000 | COPY | **0.80** | 0.50–1.10 | 0.5 | 1 | reached |" in page
    drawn = {path.name for path in tmp_path.glob("import.*")}
    assert drawn == ({"import.png", "import.svg"} if find_spec("matplotlib") else set())


def test_a_wrong_count_is_the_exit_status(tmp_path, monkeypatch, capsys):
    def fail(options):
        yield slow()
        raise WrongCount("9 cards instead of 10")

    # The server is asked for its settings only, which the test above looks at.
    quick = SimpleNamespace(settings=lambda: {"fsync": "on"})
    monkeypatch.setattr(program.servers, "database", lambda: nullcontext(quick))
    assert run(monkeypatch, tmp_path, type("Group", (), {"run": staticmethod(fail)})) == 1
    assert "WRONG import: 9 cards instead of 10" in capsys.readouterr().out
    assert (tmp_path / "report.json").is_file()


@pytest.mark.parametrize(
    "arguments", [["other"], ["--against", "x"], ["--cards", "10001"], ["--rounds", "0"]]
)
def test_arguments_that_make_no_sense_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        program.main(arguments)
    assert error.value.code == 2


def test_files_and_exports_carry_ten_times_the_cards():
    assert Options(cards=1_000).many == 10_000


def test_groups_come_in_the_order_of_the_report():
    assert report.groups([slow(), measurement(), measurement(group="own")]) == ["import", "memory", "own"]


def slow():
    return Figure("memory", "API", 200.0, "MB", at_most=160)


def run(monkeypatch, folder, group):
    monkeypatch.setattr(program, "import_module", lambda name: group)
    return program.main(["import", "--cards", "50", "--against", "", "--results", str(folder)])


def test_the_guide_names_every_group_and_argument():
    from backend.tests.docs.pages import page

    known = {name for action in program.arguments_parser()._actions for name in action.option_strings}
    rows = [row[0] for row in page("docs/how-to/benchmark.md").table("## Choose what")]
    words = {word.strip() for row in rows for word in row.split(",")}
    assert {word for word in words if not word.startswith("-")} == set(program.GROUPS)
    assert {word for word in words if word.startswith("-")} == known - {"-h", "--help"}
