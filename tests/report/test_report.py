"""The report: its numbers are the verdict's, and the page stands alone."""

import html.parser
import json
import math
import random
import re
import statistics
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from rnnlm.errors import DataError
from rnnlm.evaluation.confusion import confusion
from rnnlm.evaluation.verdict import (
    Cell,
    Coverage,
    Equivalence,
    Example,
    Examples,
    Gain,
    Interval,
    Outcome,
    Point,
    Verdict,
)
from rnnlm.experiment import Validation
from rnnlm.report import figures, markdown, table, words, write_report
from rnnlm.report.answer import answer_of

ARMS = ("scratch", "parameter", "feature")
LABELS = (100, 500, 2000, 9353)
LEVEL = {"scratch": 0.0, "parameter": 0.031, "feature": -0.02}
HOSTILE = '</pre><script src="http://evil.example/x.js">alert(1)</script>\'"&amp;{{ 7*7 }}|`x`'


def curve(rng: random.Random, metric: str, start: float, end: float, total: int) -> list[Point]:
    """Make a learning curve that ends where the cell's score is."""
    points = []
    for part in (0.25, 0.5, 0.75, 1.0):
        value = start + (end - start) * math.sqrt(part) + rng.uniform(-0.01, 0.01) * end
        points.append(
            Point(step=int(120 * part), tokens=int(total * part), train_loss=1.0 - part / 2, metrics={metric: value})
        )
    return points


def classifier_cell(arm: str, labels: int, seed: int) -> Cell:
    """Make a cell from a formula that looks like a measurement."""
    rng = random.Random(f"{arm}/{labels}/{seed}")
    accuracy = 0.58 + 0.041 * math.log(labels / 100) + LEVEL[arm] * (1.5 - labels / 9353) + rng.gauss(0, 0.008)
    scores = {"accuracy": accuracy, "macro_f1": accuracy - 0.03, "nll": 0.9 - accuracy / 2}
    return Cell(
        task="classifier",
        arm=arm,
        labels=labels,
        seed=seed,
        metrics={**scores, "valid/accuracy": accuracy + 0.01},
        seconds=3.0 + labels / 100,
        history=curve(rng, "accuracy", 0.55, accuracy + 0.01, max(labels * 4, 3840)),
    )


def language_model_cell(arm: str, perplexity: float, seed: int) -> Cell:
    """Make a language model's cell; the model as it is has no learning curve."""
    perplexity += random.Random(f"{arm}/{seed}").gauss(0, 4)
    history = [] if arm == "source" else curve(random.Random(seed), "perplexity", perplexity * 3, perplexity, 900_000)
    scores = {"perplexity": perplexity, "bits_per_character": math.log2(perplexity) / 5.3, "nll": math.log(perplexity)}
    return Cell(task="language_model", arm=arm, labels=0, seed=seed, metrics=scores, seconds=95.4, history=history)


def gain(task: str, arm: str, labels: int, differences: list[float]) -> Gain:
    """Measure a gain; the interval is wide enough that every outcome occurs."""
    mean = statistics.fmean(differences)
    half = 0.018 if task == "classifier" else 0.02
    outcome: Outcome = "positive" if mean > half else "negative" if mean < -half else "open"
    return Gain(
        task="classifier" if task == "classifier" else "language_model",
        metric="accuracy" if task == "classifier" else "bits_per_character",
        arm=arm,
        labels=labels,
        gain=Interval(value=mean, low=mean - half, high=mean + half),
        spread=statistics.stdev(differences) if len(differences) > 1 else None,
        seeds=len(differences),
        p_value=0.5 if outcome == "open" else 0.001,
        outcome=outcome,
        sentence=f"{arm} at {labels} labels: {outcome}.",
    )


def make(seeds: int = 3, language_model: bool = True, curves: bool = True, **changes: object) -> Verdict:
    """Make a verdict of three arms, four label counts and as many seeds; one seed where all labels are used."""
    cells = [
        classifier_cell(arm, labels, seed)
        for labels in LABELS
        for arm in ARMS
        for seed in range(1, (seeds if labels < 9353 else 1) + 1)
    ]
    score = {(cell.arm, cell.labels, cell.seed): cell.metrics["accuracy"] for cell in cells}
    gains = [
        gain(
            "classifier",
            arm,
            labels,
            [score[key] - score["scratch", labels, key[2]] for key in score if key[:2] == (arm, labels)],
        )
        for labels in LABELS
        for arm in ARMS[1:]
    ]
    if language_model:
        models = [
            language_model_cell(arm, perplexity, seed)
            for arm, perplexity in (("scratch", 489.6), ("parameter", 165.3), ("source", 365.2))
            for seed in range(1, (1 if arm == "source" else seeds) + 1)
        ]
        bits = {(cell.arm, cell.seed): cell.metrics["bits_per_character"] for cell in models}
        gains += [
            gain("language_model", arm, 0, [bits["scratch", seed] - bits[arm, seed] for a, seed in bits if a == arm])
            for arm in ("parameter", "source")
        ]
        cells = models + cells
    if not curves:
        cells = [cell.model_copy(update={"history": []}) for cell in cells]
    values: dict[str, object] = {
        "experiment": "demo",
        "sentences": [
            "Transfer helps the language model of the target text: parameter transfer saves 0.296 bits per character.",
            "For the classifier, parameter transfer is better than scratch at 100 and 500 labels; open above.",
            "Feature transfer is worse than scratch at 100 labels.",
        ],
        "cells": cells,
        "gains": gains,
        "source": {"task": "language_model", "tokens": 2_431_870, "perplexity": 125.04, "seconds": 221.3},
        "documents": {"train": 9353, "valid": 930, "test": 2525},
        "digests": {name: f"{place}" * 64 for place, name in enumerate(("source documents", "target tokens"), 1)},
        "versions": {"python": "3.11.2", "tensorflow": "2.20.0", "rnnlm": "0.1.0"},
        "seconds": {"ingest": 6.2, "pretrain": 221.3, "finetune": 312.9, "compare": 4001.0},
        "busy_cores": {"pretrain": 1.87},
        "configuration": {"name": "demo", "comparison": {"labels": [100, 500, 2000, "all"], "seeds": seeds}},
        "command": "rnnlm run demo",
    }
    return Verdict.model_validate(values | changes)


class Page(html.parser.HTMLParser):
    """Reads a page: its tags balance, its tables' texts, what it would load."""

    VOID = frozenset({"meta", "img", "link", "br", "hr", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag and what it loads."""
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data", "action"}]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost tag, which must be this one."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Collect the text of the page and of its cells."""
        if "style" not in self.open:
            self.text += data
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def verdict() -> Verdict:
    """Return the verdict that most tests look at."""
    return make()


@pytest.fixture(scope="module")
def report(verdict: Verdict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of its report."""
    folder = tmp_path_factory.mktemp("report")
    write_report(verdict, folder)
    return folder


def page_of(verdict: Verdict, folder: Path) -> Page:
    write_report(verdict, folder)
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def expected_accuracy(verdict: Verdict, arm: str, labels: int) -> str:
    """Compute what a table must say of an arm, from the cells alone."""
    values = [
        100 * cell.metrics["accuracy"]
        for cell in verdict.cells
        if cell.task == "classifier" and cell.arm == arm and cell.labels == labels
    ]
    mean = sum(values) / len(values)
    if len(values) == 1:
        return f"{mean:.1f} %"
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return f"{mean:.1f} ± {math.sqrt(variance):.1f} %"


def test_verdict_json_holds_the_same_verdict(verdict: Verdict, report: Path) -> None:
    text = (report / "verdict.json").read_text(encoding="utf-8")
    assert Verdict.model_validate_json(text) == verdict
    assert text.startswith('{\n  "experiment": "demo"')


def test_labels_that_chose_and_are_not_counted_are_shown_beside_the_others(verdict: Verdict) -> None:
    ways = {labels: Validation(way="split", documents=561) for labels in (500, 9_353)}
    of_split = verdict.model_copy(update={"validation": ways | {100: Validation(way="held out", documents=10)}})
    assert [words.labels(of_split, labels) for labels in (100, 500, 9_353)] == ["100", "500 + 561", "all (9,353 + 561)"]


def test_page_shows_every_score_of_the_verdict(verdict: Verdict, report: Path) -> None:
    page = Page((report / "report.html").read_text(encoding="utf-8"))
    rows = [[text.strip() for text in row] for row in page.rows]
    for labels, named in zip(LABELS, ("100", "500", "2,000", "all (9,353)"), strict=True):
        for arm, words_of_arm in zip(ARMS, ("scratch", "parameter transfer", "feature transfer"), strict=True):
            (row,) = (row for row in rows if row[:2] == [named, words_of_arm] and len(row) == 7)
            assert row[2] == expected_accuracy(verdict, arm, labels)
            found = [one for one in verdict.gains if (one.arm, one.labels) == (arm, labels)]
            if arm == "scratch":
                assert row[3:5] == [words.NONE, "baseline"]
            else:
                assert row[4] == words.outcome(found[0])
                numbers = [float(text) for text in re.findall(r"-?[\d.]+", row[3].replace(words.MINUS, "-"))]
                interval = found[0].gain
                assert numbers == [round(100 * x, 1) for x in (interval.value, interval.low, interval.high)]
    models = [row for row in rows if len(row) == 6 and row[0] in {"scratch", "parameter transfer"}]
    for row, arm in zip(models, ("scratch", "parameter"), strict=False):
        values = [cell.metrics["perplexity"] for cell in verdict.cells if cell.labels == 0 and cell.arm == arm]
        assert row[1] == f"{statistics.fmean(values):.1f} ± {statistics.stdev(values):.1f}"
    for cell in verdict.cells:
        shown = f"{100 * cell.metrics['accuracy']:.1f} %" if cell.labels else f"{cell.metrics['perplexity']:.1f}"
        assert any(shown in row and str(cell.seed) in row and words.arm(cell.arm) in row for row in rows)
    for text in [*verdict.sentences, *(one.sentence for one in verdict.gains), "3 min 41 s", "1 h 07 min", "125.0"]:
        assert text in page.text


def test_page_starts_with_the_verdict_and_a_figure_then_tables(report: Path) -> None:
    text = (report / "report.html").read_text(encoding="utf-8")
    places = [text.index(part) for part in ("<h1>", "Transfer helps", "<img", "<table>", "Configuration", "Versions")]
    assert places == sorted(places)
    assert text.startswith("<!DOCTYPE html>")


def test_the_time_of_a_part_has_its_busy_cores_where_they_are_known(report: Path) -> None:
    page = Page((report / "report.html").read_text(encoding="utf-8"))
    assert "3 min 41 s, 1.9\u00a0cores\u00a0busy" in page.text
    assert page.text.count("cores\u00a0busy") == 1


def test_page_stands_alone(report: Path) -> None:
    text = (report / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.loads
    assert all(load.startswith(("data:image/svg+xml;base64,", "#")) for load in page.loads)
    assert not {"script", "link", "iframe", "object", "embed", "base"} & set(page.tags)
    assert "url(" not in text
    assert "@import" not in text


def test_equal_verdicts_give_equal_bytes(verdict: Verdict, report: Path, tmp_path: Path) -> None:
    with mpl.rc_context({"font.size": 25, "axes.facecolor": "red"}):
        write_report(make(), tmp_path)
    names = sorted(path.relative_to(report) for path in report.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert len(names) == 9
    for name in names:
        assert (report / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_figures_show_the_numbers(verdict: Verdict) -> None:
    before = dict(mpl.rcParams)
    drawn = figures(verdict)
    assert dict(mpl.rcParams) == before
    assert list(drawn) == [
        "accuracy",
        "cost",
        "gain",
        "language_model",
        "language_model_gain",
        "learning_classifier",
        "learning_language_model",
    ]
    assert all(isinstance(figure, Figure) for figure in drawn.values())
    axes = drawn["accuracy"].axes[0]
    assert axes.get_xscale() == "log"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["all\n(9,353)", "2,000", "500", "100"]
    means = [
        [
            100 * statistics.fmean(c.metrics["accuracy"] for c in verdict.cells if (c.arm, c.labels) == (arm, labels))
            for labels in LABELS
        ]
        for arm in ARMS
    ]
    for line, mean in zip(axes.lines, means, strict=True):
        assert np.asarray(line.get_ydata()) == pytest.approx(mean)
    assert len({line.get_marker() for line in axes.lines}) == len({line.get_color() for line in axes.lines}) == 3
    curves = [line for panel in drawn["learning_classifier"].axes for line in panel.lines]
    assert len(curves) == sum(cell.task == "classifier" for cell in verdict.cells)


def test_language_model_part_may_be_missing(tmp_path: Path) -> None:
    verdict = make(language_model=False)
    assert list(figures(verdict)) == ["accuracy", "cost", "gain", "learning_classifier"]
    page = page_of(verdict, tmp_path)
    assert "perplexity" not in page.text.replace("125.0", "").split("Source model")[0].lower()
    assert "Language model" not in page.text
    assert "## Language model" not in markdown(verdict)
    assert "perplexity" not in table(verdict)[0]


def test_single_seed_has_no_spread(tmp_path: Path) -> None:
    verdict = make(seeds=1, curves=False)
    page = page_of(verdict, tmp_path)
    assert not [row for row in page.rows if any("±" in text for text in row)]
    assert "lowest to the highest" not in page.text
    assert "±" not in markdown(verdict)
    assert all(row["seeds"] == "1" for row in table(verdict))


def test_verdict_without_cells_is_still_a_page(tmp_path: Path) -> None:
    page = page_of(make(cells=[], gains=[], source={}, digests={}, versions={}, seconds={}, documents={}), tmp_path)
    assert "table" not in page.tags
    assert "img" not in page.tags
    assert list((tmp_path / "figures").iterdir()) == []


def test_missing_metrics_and_curves_are_left_out(tmp_path: Path) -> None:
    cells = [cell.model_copy(update={"history": [], "metrics": {"nll": 0.5}}) for cell in make().cells]
    verdict = make(cells=cells, gains=[])
    assert figures(verdict) == {}
    assert "Figures" not in page_of(verdict, tmp_path).text


def test_markdown_and_table_say_the_same_as_the_verdict(verdict: Verdict) -> None:
    text, rows = markdown(verdict), table(verdict)
    assert len(rows) == 15
    assert len({tuple(row) for row in rows}) == 1
    for labels, named in zip(LABELS, ("100", "500", "2,000", "all (9,353)"), strict=True):
        for arm in ARMS:
            accuracy = expected_accuracy(verdict, arm, labels)
            (row,) = (row for row in rows if (row["labels"], row["arm"]) == (named, words.arm(arm)))
            assert row["accuracy"] == accuracy
            assert row["perplexity"] == ""
            assert f"| {named} | {words.arm(arm)} | {accuracy} |" in text
    assert {row["outcome"].split(",")[0] for row in rows} == {"baseline", "positive", "open", "negative"}
    assert {row["labels"] for row in rows if "one seed" in row["outcome"]} == {"", "all (9,353)"}
    for sentence in verdict.sentences:
        assert f"- {sentence}\n" in text
    first, *rest = answer_of(verdict).answers
    assert f"\n\n**{first.text}**\n\n" in text
    assert rest
    assert all(f"\n\n{statement.text}\n\n" in text for statement in rest)
    assert text.endswith("    rnnlm run demo\n")
    widths = {line.count(" | ") for line in text.splitlines() if line.startswith("|")}
    assert widths == {5, 6}


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    cells = [*make(curves=False).cells, classifier_cell("scratch", 100, 1).model_copy(update={"arm": "$x_$ <b>"})]
    verdict = make(
        experiment=HOSTILE,
        sentences=[HOSTILE, "[x](javascript:alert(1))"],
        cells=cells,
        command=f"rnnlm run '{HOSTILE}'",
        configuration={"name": HOSTILE, "comparison": {"labels": [100, "all"]}},
        digests={HOSTILE: HOSTILE},
        source={HOSTILE: HOSTILE},
        versions={HOSTILE: HOSTILE},
    )
    page = page_of(verdict, tmp_path)
    assert not {"script", "b"} & set(page.tags)
    assert page.text.count(HOSTILE) >= 7
    assert "49" not in page.text.split("Language model")[0]
    text = markdown(verdict).split("## Repeat it")[0]
    assert "<script" not in text
    assert "](" not in text.replace("\\](", "")
    assert "\\|" in text.splitlines()[0]


def test_other_scripts_stand_in_the_page(tmp_path: Path) -> None:
    words_of_text = "情感分析 ניתוח תحليل"
    cells = [*make(curves=False).cells, classifier_cell("scratch", 100, 1).model_copy(update={"arm": "分词"})]
    verdict = make(sentences=[words_of_text], cells=cells, configuration={"name": words_of_text})
    page = page_of(verdict, tmp_path)
    assert page.text.count(words_of_text) == 2
    assert any("分词" in text for row in page.rows for text in row)


def test_configuration_is_yaml_that_reads_back(verdict: Verdict, report: Path) -> None:
    page = Page((report / "report.html").read_text(encoding="utf-8"))
    shown = page.text.split("Configuration\n")[1].split("Digests")[0]
    assert yaml.safe_load(shown) == verdict.configuration


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused(number: float, tmp_path: Path) -> None:
    good = make()
    cells = [*good.cells]
    cells[2] = cells[2].model_copy(update={"metrics": {"perplexity": number}})
    with pytest.raises(DataError, match=r"^cells\[2\]\.metrics\.perplexity: "):
        write_report(good.model_copy(update={"cells": cells}), tmp_path)
    with pytest.raises(DataError, match=r"^configuration\.model\.rates\[1\]: "):
        write_report(make(configuration={"model": {"rates": [0.1, number]}}), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_wide_ranges_and_close_label_counts_are_drawn(tmp_path: Path) -> None:
    cells = [
        cell.model_copy(update={"labels": 9000}) if cell.labels == 2000 else cell for cell in make(curves=False).cells
    ]
    cells.append(language_model_cell("target_text", 98_765.4, 1))
    verdict = make(cells=cells)
    labels = [text.get_text() for text in figures(verdict)["accuracy"].axes[0].get_xticklabels()]
    assert labels == ["all\n(9,353)", "500", "100"]
    assert figures(verdict)["language_model"].axes[0].get_xscale() == "log"
    assert "98,76" in page_of(verdict, tmp_path).text


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (words.score("accuracy", 0.7032), "70.3 %"),
        (words.score("valid/accuracy", 0.7032, 0.0119), "70.3 ± 1.2 %"),
        (words.score("perplexity", 165.32), "165.3"),
        (words.score("perplexity", 3.271), "3.27"),
        (words.score("perplexity", 23_456.7), "23,456.7"),
        (words.score("bits_per_character", 1.4119, 0.003), "1.412 ± 0.003"),
        (words.score("accuracy", None), words.NONE),
        (words.signed(-0.04, 1), "0.0"),
        (words.signed(-1.5, 1), "\N{MINUS SIGN}1.5"),
        (words.duration(0.41), "0.4 s"),
        (words.duration(59.4), "59 s"),
        (words.duration(125.0), "2 min 05 s"),
        (words.duration(3_720.0), "1 h 02 min"),
        (words.gain(None), words.NONE),
        (words.metric("valid/macro_f1"), "macro-F1 (validation)"),
    ],
)
def test_numbers_are_written_for_people(found: str, text: str) -> None:
    assert found == text


def test_gain_is_written_with_its_interval() -> None:
    points = gain("classifier", "parameter", 100, [0.032])
    assert words.gain(points) == "+3.2 points [1.4, 5.0]"
    bits = gain("language_model", "parameter", 0, [-0.0123])
    assert words.gain(bits) == "\N{MINUS SIGN}0.012 bits [\N{MINUS SIGN}0.032, 0.008]"


@settings(max_examples=40, deadline=None)
@given(value=st.floats(-1e6, 1e6), decimals=st.integers(0, 4))
def test_signed_reads_back_as_the_rounded_number(value: float, decimals: int) -> None:
    text = words.signed(value, decimals)
    assert float(text.replace(words.MINUS, "-").replace(",", "")) == float(f"{value:.{decimals}f}")
    assert ("+" in text) == (float(f"{value:.{decimals}f}") > 0)


def test_verdict_json_has_no_bare_names_for_numbers(report: Path) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    assert json.loads((report / "verdict.json").read_text(encoding="utf-8"), parse_constant=refuse)["experiment"]


def test_what_an_arm_is_worth_in_labels_stands_in_its_row() -> None:
    found = [
        Equivalence(arm="parameter", labels=100, needed=480.4, low=100.0, high=None, least=100, most=9353),
        Equivalence(arm="feature", labels=500, needed=None, low=None, high=None, least=100, most=9353),
    ]
    text = html.unescape(markdown(make(equivalences=found)))
    rows = {tuple(line.split(" | ")[:2]): line for line in text.splitlines() if line.startswith("| ")}
    assert "| 480 [\N{LESS-THAN OR EQUAL TO} 100, > 9,353] |" in rows["| 100", "parameter transfer"]
    assert "| > 9,353 [> 9,353, > 9,353] |" in rows["| 500", "feature transfer"]
    assert f"| {words.NONE} |" in rows["| 500", "parameter transfer"]


def test_the_coverage_has_a_table_where_the_target_has_its_own_words(tmp_path: Path) -> None:
    assert "Words of the target" not in markdown(make())
    coverage = [Coverage(rung="exact", types=300, tokens=9_000), Coverage(rung="mean", types=100, tokens=1_000)]
    verdict = make(coverage=coverage)
    assert "| mean of all rows | 100 | 25.0 | 1,000 | 10.0 |" in markdown(verdict)
    write_report(verdict, tmp_path)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert ["the same word", "300", "75.0", "9,000", "90.0"] in page.rows


def test_calibration_and_time_stand_in_their_table(tmp_path: Path) -> None:
    scores = {"nll_calibrated": 0.4312, "ece": 0.0789, "ece_calibrated": 0.0234, "valid/temperature": 1.456}
    cells = [
        cell.model_copy(update={"metrics": {**cell.metrics, **scores}, "seconds_before": 3_600.0})
        for cell in make(language_model=False, curves=False).cells
    ]
    rows = [[text.strip() for text in row] for row in page_of(make(cells=cells), tmp_path).rows]
    (head,) = (row for row in rows if "time in all" in row)
    calibrated = ["NLL, calibrated", "calibration error", "error, calibrated", "temperature"]
    assert head == ["labels", "arm", "negative log-likelihood", *calibrated, "time", "time in all"]
    (row,) = (row for row in rows if row[:2] == ["all (9,353)", "parameter transfer"] and row[-1] == "1 h 02 min")
    assert row[3:] == ["0.431", "7.9 %", "2.3 %", "1.46", "1 min 37 s", "1 h 02 min"]


def test_the_cost_is_drawn_with_what_an_arm_starts_from() -> None:
    cells = [
        cell.model_copy(update={"seconds_before": 0.0 if cell.arm == "scratch" else 500.0})
        for cell in make(language_model=False).cells
    ]
    axes = figures(make(cells=cells))["cost"].axes[0]
    for line, arm in zip(axes.lines, ARMS, strict=True):
        before = 0.0 if arm == "scratch" else 500.0
        assert np.asarray(line.get_xdata()) == pytest.approx([before + 3.0 + labels / 100 for labels in LABELS])
    drawn = [marks for marks in axes.collections if isinstance(marks, PathCollection)]
    assert len({np.asarray(marks.get_paths()[0].vertices).tobytes() for marks in drawn}) == 3
    for marks in drawn:
        assert list(marks.get_sizes()) == sorted(set(marks.get_sizes()))


def test_pairs_of_arms_are_counted_and_tested_where_there_is_one_seed(tmp_path: Path) -> None:
    several, single = (
        gain("classifier", "parameter", labels, differences).model_copy(
            update={"only_arm": 1_234, "only_baseline": 56, "mcnemar_p": p}
        )
        for labels, differences, p in ((100, [0.01, 0.02, 0.03], None), (9353, [0.03], 0.0321))
    )
    page = page_of(make(gains=[single], beyond=[several.model_copy(update={"baseline": "target_text"})]), tmp_path)
    rows = [[text.strip() for text in row] for row in page.rows]
    first = rows.index(["100", "parameter transfer", "target text only", "1,234", "56", words.NONE, "3"])
    assert rows[first + 1] == ["all (9,353)", "parameter transfer", "scratch", "1,234", "56", "0.032", "1"]


def test_what_was_left_out_has_a_table(tmp_path: Path) -> None:
    left_out = {
        "source": {"empty": 0, "duplicate": 7, "label": 0},
        "target": {"empty": 0, "duplicate": 1_395, "label": 0},
    }
    overlap = {"source": {"train+test": 0}, "target": {"train+test": 331}}
    page = page_of(
        make(
            language_model=False,
            curves=False,
            left_out=left_out,
            overlap=overlap,
            unknown={"source": 0.004, "target": 0.977},
        ),
        tmp_path,
    )
    rows = [[text.strip() for text in row] for row in page.rows]
    first = rows.index(["documents", "source", "target"])
    assert rows[first + 1] == ["same text as another one of the split", "7", "1,395"]
    assert rows[first + 2] == ["in train and test (different texts)", "0", "331"]
    assert "97.7 %" in page.text


def test_without_a_claim_no_interval_is_shown(tmp_path: Path) -> None:
    found = gain("classifier", "parameter", 100, [0.05])
    verdict = make(
        language_model=False, curves=False, gains=[found.model_copy(update={"outcome": "no claim", "p_value": None})]
    )
    page = page_of(verdict, tmp_path)
    (row,) = (
        row
        for row in page.rows
        if [text.strip() for text in row[:2]] == ["100", "parameter transfer"] and len(row) == 7
    )
    assert [text.strip() for text in row[3:5]] == ["+5.0 points", "no claim"]
    axes = figures(verdict)["gain"].axes[0]
    assert not axes.collections, "no line of an interval"


def test_a_matrix_has_its_classes_scores_beside_it(tmp_path: Path) -> None:
    few = confusion("parameter", 9353, 1, np.array([[30, 10], [5, 1_055]]), ["טוב", HOSTILE])
    many = confusion("feature", 100, 3, np.eye(13, dtype=int), [f"class {n}" for n in range(13)])
    page = page_of(make(confusions=[few, many]), tmp_path)
    rows = [[text.strip() for text in row] for row in page.rows]
    assert ["", "טוב", HOSTILE, "precision", "recall", "F1", "documents"] in rows
    assert ["טוב", "30", "10", "85.7 %", "75.0 %", "80.0 %", "40"] in rows
    assert [HOSTILE, "5", "1,055", "99.1 %", "99.5 %", "99.3 %", "1,060"] in rows
    assert ["class 12", "100.0 %", "100.0 %", "100.0 %", "1"] in rows
    assert "parameter transfer, all (9,353) labels" in page.text
    assert "feature transfer, 100 labels, sum of 3 seeds" in page.text
    assert "script" not in page.tags


def test_examples_keep_their_direction_and_stay_text(tmp_path: Path) -> None:
    texts = ["הסרט היה נפלא", "这部电影很好看", HOSTILE]
    shown = [Example(id=f"d{n}", label="fresh", said="rotten", probability=0.876, text=t) for n, t in enumerate(texts)]
    found = Examples(
        arm="parameter",
        baseline="scratch",
        labels=100,
        seeds=3,
        documents=2525,
        only_arm=1_041,
        only_baseline=0,
        of_arm=shown,
        of_baseline=[],
    )
    page = page_of(make(examples=[found]), tmp_path)
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert source.count('<p dir="auto">') == 3
    assert all(text in page.text for text in texts)
    assert "script" not in page.tags
    assert "Only parameter transfer is right: 1,041 of 2,525 test documents with all 3 seeds" in page.text
    assert page.text.count("fresh (88 % sure), the other said rotten") == 3


def test_a_statement_leads_to_the_table_with_its_interval(verdict: Verdict, tmp_path: Path) -> None:
    of_transfer = [gain for gain in verdict.gains if gain.task == "classifier" and gain.arm == "parameter"]
    verdict = make(beyond=[gain.model_copy(update={"baseline": "target_text"}) for gain in of_transfer])
    write_report(verdict, tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    led = re.findall(r'<p>([^<]*) <a href="#([\w-]+)">', page)
    gains = [one.gain for one in answer_of(verdict).answers if one.gain]
    assert [anchor for _, anchor in led] == [f"{gain.task}-{gain.baseline}" for gain in gains]
    assert {gain.baseline for gain in gains} == {"scratch", "target_text"}
    for (_, anchor), gain in zip(led, gains, strict=True):
        table = page.partition(f' id="{anchor}">')[2].partition("</table>")[0]
        assert f">{words.gain(gain)}<" in table
