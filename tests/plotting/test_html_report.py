"""The page of all videos: its content, and how a browser shows it."""

import base64
import html.parser
import json

import numpy as np
import pytest

from tests.plotting import chromium
from tfwstal import evaluate, visualize
from tfwstal.config import Config
from tfwstal.data.annotations import Segment
from tfwstal.errors import InputError
from tfwstal.evaluation.average_precision import (
    Detections,
    Instances,
    mean_average_precision,
)
from tfwstal.plotting import html_report, html_tables, rows
from tfwstal.plotting.rows import Bars, Curves

_NAME = '</script><b>"it\'s" & <!-- $title'
_LABEL = "<i>jump</i> & 'run' \\ |"


def _videos(count=3):
    """Videos with all kinds of rows; the first has two oddly named classes."""
    truth = (Segment(_LABEL, 1.0, 4.0), Segment("b", 2.0, 2.5))
    rng = np.random.default_rng(0)
    videos = {
        _NAME: [
            Bars("Ground truth", truth, (1.0, 1.0)),
            rows.strongest(
                [
                    {"label": _LABEL, "score": 0.5, "segment": [1.5, 4.0]},
                    {"label": "b", "score": 0.25, "segment": [0.0, 8.0]},
                ]
            ),
            Curves("A", rng.random((10, 3)), tuple(rows.ATTENTIONS), 0.64),
            Curves("Z", rng.random((10, 2)), (_LABEL, "c"), 0.64),
        ]
    }
    for i in range(1, count):
        segments = (Segment("b", 0.0, float(i)),)
        videos[f"video_{i}"] = [Bars("Ground truth", segments, (1.0,))]
    return videos


def _evaluation(facts="f", averages=(), by_video=()):
    truth = Instances(["v", "v"], [_LABEL, "b"], [(0, 4), (6, 9)])
    found = Detections(["v"], [_LABEL], [(0, 4)], [0.9])
    result = mean_average_precision(truth, found, (0.3, 0.5))
    return html_tables.Evaluation(facts, result, dict(averages), dict(by_video))


class _Page(html.parser.HTMLParser):
    """Texts and attributes of a page, by tag."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self._open = [], [], None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag):
        self._open = None

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self._open, data.strip()))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def data(self):
        (text,) = [t for tag, t in self.texts if t.startswith('{"names"')]
        return json.loads(text)


# === Content ===


def test_it_holds_the_rows_of_each_video():
    videos = _videos()
    content = _Page(html_report.render("T", videos)).data()
    names, (first, second, _) = content["names"], content["videos"]
    truth, found, attention, activation = first["rows"]
    lanes = [names[i] for i in truth["names"]]
    assert lanes == [_LABEL, "b"]
    assert truth["bars"] == [[0, 1.0, 4.0, 1.0], [1, 2.0, 2.5, 1.0]]
    assert found["bars"] == [[1, 0.0, 8.0, 0.5, 0.25], [0, 1.5, 4.0, 1.0, 0.5]]
    assert first["seconds"] == 8.0
    assert second["rows"][0]["bars"] == [[0, 0.0, 1.0, 1.0]]
    for row, curves in (
        (attention, videos[_NAME][2]),
        (activation, videos[_NAME][3]),
    ):
        assert tuple(names[i] for i in row["names"]) == curves.names
        values = np.frombuffer(base64.b64decode(row["values"]), np.uint8)
        values = values.reshape(len(curves.names), -1).T / 255
        np.testing.assert_allclose(values, curves.values, atol=0.5 / 255)
        assert row["snippet"] == 0.64
    assert [attention["attention"], activation["attention"]] == [True, False]


def test_it_refers_to_nothing_outside():
    page = _Page(html_report.render("T", _videos(), _evaluation()))
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint({"link", "img", "iframe", "object", "base"})
    for _, attributes in page.elements:
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith("#")
    (policy,) = [each for each in page.all("meta") if "http-equiv" in each]
    assert policy["content"].startswith("default-src 'none';")


def test_names_are_text_and_links_lead_to_their_videos():
    page = _Page(html_report.render(_NAME, _videos(), _evaluation(_NAME)))
    for tag in ("title", "h1", "pre", "a", "h3"):
        assert (tag, _NAME) in page.texts
    assert ("td", _LABEL) in page.texts
    assert len(page.all("script")) == 2
    sections = [each["id"] for each in page.all("section")]
    assert len(sections) == 3
    assert [each["href"] for each in page.all("a")] == [
        f"#{each}" for each in sections
    ]


def test_the_worst_videos_come_first():
    scores = {_NAME: (0.5, 0.25), "video_2": (0.5, 0.125), "video_3": (0.0, 0)}
    page = html_report.render("T", _videos(4), _evaluation(by_video=scores))
    page = _Page(page)
    order = ["video_3", "video_2", _NAME, "video_1"]
    assert [text for tag, text in page.texts if tag == "h3"] == order
    links = [text for tag, text in page.texts if tag == "a"]
    assert links == order
    heads = [text for tag, text in page.texts if tag == "th"][-2:]
    assert heads == ["recall %, mean", "mAP %, mean"]
    cells = [text for tag, text in page.texts if tag == "td"]
    # video_1 has no evaluated instance.
    assert cells[-5:] == ["1.0", "1", "0", "-", "-"]
    assert cells[-10:-5] == ["8.0", "2", "2", "50.00", "25.00"]


def test_tables_are_those_of_the_result():
    evaluation = _evaluation(averages={"0.1:0.5": 0.25})
    page = _Page(html_report.render("T", {}, evaluation))
    cells = [text for tag, text in page.texts if tag == "td"]
    assert cells[:4] == ["0.3", "50.00", "0.5", "50.00"]
    assert cells[4:6] == ["0.1:0.5", "25.00"]
    # By class, best first: AP and number of instances.
    assert cells[6:] == [_LABEL, "100.00", "1", "b", "0.00", "1"]


# === The command ===


@pytest.fixture
def flags(tmp_path):
    """A function (**flags) -> Config of a page of two videos."""
    database = {
        name: {
            "subset": "Test",
            "annotations": [{"label": "a", "segment": [1.0, 2.0]}],
        }
        for name in ("one", "two")
    } | {"three": {"subset": "training", "annotations": []}}
    results = {
        "one": [{"label": "a", "segment": [1.0, 1.9], "score": 0.5}],
        "two": [],
    }
    truth, found = tmp_path / "gt.json", tmp_path / "detections.json"
    truth.write_text(json.dumps({"database": database}))
    found.write_text(json.dumps({"results": results}))
    sources = {
        "ground_truth": str(truth),
        "detections": str(found),
        "html": str(tmp_path / "new" / "page.html"),
    }
    return lambda **changes: Config(**sources | changes)


def test_the_page_of_both_files(flags, tmp_path, capsys):
    config = flags(tiou_thresholds=(0.5, 0.95))
    visualize.main(config)
    assert capsys.readouterr().out.startswith("2 videos: ")
    page = _Page((tmp_path / "new" / "page.html").read_text("utf-8"))
    assert len(page.all("section")) == 2
    result, _ = evaluate.evaluate_files(config)
    cells = [text for tag, text in page.texts if tag == "td"]
    expected = [f"{100 * value:.2f}" for value in result.mean_ap]
    assert expected == ["50.00", "0.00"]
    assert cells[:4] == ["0.5", expected[0], "0.95", expected[1]]
    assert not list((tmp_path / "new").glob(".*"))


@pytest.mark.parametrize(
    "absent, videos", [("ground_truth", 2), ("detections", 2)]
)
def test_one_source_is_enough(flags, tmp_path, absent, videos):
    visualize.main(flags(**{absent: ""}))
    page = _Page((tmp_path / "new" / "page.html").read_text("utf-8"))
    assert len(page.data()["videos"]) == videos
    assert "mAP %" not in [text for _, text in page.texts]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"video": "one"}, "--video one; drop one"),
        ({"picture": "x.png"}, "--picture one; drop one"),
        ({"ground_truth": "", "detections": ""}, "nothing to draw"),
        ({"subset": "none"}, "subset 'none' does not exist"),
        ({"run_dir": "none"}, "--data_dir is needed"),
    ],
)
def test_what_is_refused(flags, tmp_path, changes, message):
    with pytest.raises(InputError) as caught:
        visualize.main(flags(**changes))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_overwrites_only_if_told(flags, tmp_path):
    path = tmp_path / "mine.html"
    path.write_text("mine")
    with pytest.raises(InputError, match="--html=.*mine.html exists"):
        visualize.main(flags(html=str(path)))
    assert path.read_text() == "mine"
    visualize.main(flags(html=str(path), overwrite=True))
    assert path.read_text("utf-8").startswith("<!DOCTYPE html>")


# === In a browser ===

# Measures what was drawn, and tries the filters.
_PROBE = """
(async () => {
  while (!document.querySelector("svg"))  // the browser has not looked yet
    await new Promise(go => setTimeout(go, 20));
  const seen = {
    errors: document.documentElement.dataset.error ?? "",
    drawn: document.querySelectorAll("svg").length,
    titles: [...document.querySelectorAll("h3")].map(h => h.textContent),
    labels: [...document.querySelectorAll("svg title")].map(t =>
      t.textContent),
    bars: [...document.querySelector("svg").querySelectorAll("rect")].map(
      r => { const b = r.getBBox(); return [b.x, b.width]; }),
    curves: document.querySelectorAll("path.curve").length,
    fills: [...document.querySelectorAll("rect.bar")].map(r =>
      [r.textContent.split(": ")[0], r.getAttribute("fill")]),
  };
  const visible = () => [...document.querySelectorAll("section")]
    .filter(s => s.offsetHeight).length;
  const choice = document.getElementById("class");
  seen.classes = [...choice.options].map(o => o.textContent);
  choice.selectedIndex = seen.classes.indexOf("b");
  choice.dispatchEvent(new Event("change"));
  seen.of_class = visible();
  choice.selectedIndex = 0;
  const part = document.getElementById("name");
  part.value = "O_17";
  part.dispatchEvent(new Event("input"));
  seen.of_name = visible();
  const head = document.querySelector("#index th:nth-child(2)");
  head.click(); head.click();
  seen.longest = document.querySelector("#index td").textContent;
  return seen;
})()
"""


def test_a_browser_draws_it(tmp_path):
    path = tmp_path / "page.html"
    page = html_report.render("T", _videos(200), _evaluation())
    path.write_text(page, encoding="utf-8")
    with chromium.opened(path, tmp_path / "browser") as browser:
        seen = browser.run(_PROBE)
        assert not browser.messages
    assert not seen["errors"]
    # Only videos near the window are drawn, so the first ones.
    assert 3 <= seen["drawn"] < 100
    assert seen["titles"][:2] == [_NAME, "video_1"]
    assert len(seen["titles"]) == 200
    assert seen["curves"] == 5
    assert f"{_LABEL}: 1.5 to 4 s, score 0.5" in seen["labels"]
    # Eight seconds are 710 units wide, starting at 150.
    second = 710 / 8
    expected = [(1, 3), (2, 0.5), (0, 8), (1.5, 2.5)]
    assert np.allclose(
        seen["bars"],
        [(150 + start * second, long * second) for start, long in expected],
        atol=0.01,
    )
    assert seen["classes"] == ["all classes", _LABEL, "b"]
    colours = {}
    for name, colour in seen["fills"]:
        colours.setdefault(name, set()).add(colour)
    assert {_LABEL, "b"} <= colours.keys()
    # A class has one colour on the page, and no two classes share one.
    assert all(len(each) == 1 for each in colours.values())
    assert len(set.union(*colours.values())) == len(colours)
    assert seen["of_class"] == 200
    assert seen["of_name"] == 11  # video_17, and video_170 to 179
    assert seen["longest"] == "video_199"
