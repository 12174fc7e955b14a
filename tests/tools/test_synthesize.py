"""The synthetic set: layout, statistics, and what makes it hard."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT, SHARED
from tfrecords_tools import synthesize
from tfrecords_tools.planting import features as planted_features
from tfrecords_tools.planting import timelines as planted_timelines
from tfrecords_tools.planting.families import FAMILIES
from tfwstal.config import Config
from tfwstal.errors import InputError

THUMOS = SHARED / "thumos14/acmnet_gt_412.json"


def make_config(**flags):
    small = {
        "num_train_videos": 6,
        "num_test_videos": 5,
        "num_classes": 5,
        "feature_dim": 128,
        "median_snippets": 40,
    }
    return Config(**{**small, **flags})


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def make_set(folder, **flags):
    synthesize.main(make_config(output_dir=str(folder), **flags))
    return contents(folder)


def read_database(folder):
    return json.loads((folder / "gt.json").read_text())["database"]


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "raw"
    make_set(folder)
    return folder


# === Layout ===


def test_same_seed_same_bytes(raw, tmp_path):
    assert make_set(tmp_path / "again") == contents(raw)


def test_other_seed_other_everything(raw, tmp_path):
    first, second = contents(raw), make_set(tmp_path / "other", seed=1)
    assert first.keys() == second.keys()
    same = {name for name in first if first[name] == second[name]}
    assert same == {"split_train.txt", "split_test.txt"}


def test_video_does_not_depend_on_the_others(raw, tmp_path):
    folder = tmp_path / "more"
    more = make_set(folder, num_train_videos=9, num_test_videos=7)
    features = {k: v for k, v in contents(raw).items() if k.endswith(".npy")}
    assert len(features) == 11
    assert features.items() <= more.items()
    assert read_database(raw).items() <= read_database(folder).items()


def test_layout(raw):
    database = read_database(raw)
    for split, subset, count in (
        ("train", "validation", 6),
        ("test",) * 2 + (5,),
    ):
        names = (raw / f"split_{split}.txt").read_text().split()
        assert len(names) == count
        assert names == [
            name for name in database if database[name]["subset"] == subset
        ]
        assert {path.stem for path in (raw / split).iterdir()} == set(names)
        for name in names:
            features = np.load(raw / split / f"{name}.npy")
            # 25 frames a second, 16 a snippet.
            snippets = int(database[name]["duration"] * 25 / 16)
            assert features.shape == (snippets, 128)
            assert features.dtype == np.float32
            assert features.min() >= 0
            assert np.isfinite(features).all()
    assert sorted(path.name for path in raw.iterdir()) == [
        "gt.json",
        "split_test.txt",
        "split_train.txt",
        "test",
        "train",
    ]


def test_time_scale_of_other_extraction(tmp_path):
    make_set(tmp_path / "raw", fps=10.0, frames_per_snippet=8)
    for name, video in read_database(tmp_path / "raw").items():
        split = "test" if video["subset"] == "test" else "train"
        features = np.load(tmp_path / "raw" / split / f"{name}.npy")
        assert len(features) == int(video["duration"] * 10 / 8)


def test_command(tmp_path):
    command = [sys.executable, "-m", "tfrecords_tools.synthesize"]
    flags = ["--num_train_videos=2", "--num_test_videos=2", "--num_classes=2"]
    flags += ["--feature_dim=8", "--median_snippets=9", "--output_dir=raw"]
    run = dict(
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    done = subprocess.run(command + flags, **run)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "4 videos written to raw\n"
    again = subprocess.run(command + flags, **run)
    assert again.returncode == 1
    assert "Traceback" not in again.stderr
    assert "--overwrite" in again.stderr


# === Timelines ===


def drawn(**flags):
    flags = {"num_classes": 20, "median_snippets": 240, **flags}
    counts = {"num_train_videos": 400, "num_test_videos": 400}
    return planted_timelines.draw_videos(make_config(**counts, **flags))


@pytest.mark.parametrize("median_snippets", [1, 12, 240])
def test_segments_are_sound(median_snippets):
    for video in drawn(median_snippets=median_snippets).values():
        bounds = [(s.start, s.end) for s in video.segments]
        assert bounds
        assert all(0 <= s < e <= video.duration for s, e in bounds)
        pairs = zip(bounds, bounds[1:], strict=False)
        assert all(left[1] <= right[0] for left, right in pairs)


def test_every_class_in_both_splits():
    for subset in ("train", "test"):
        labels = {
            segment.label
            for video in drawn().values()
            if video.subset == subset
            for segment in video.segments
        }
        assert labels == {f"Action{i:02d}" for i in range(1, 21)}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_statistics_are_those_of_thumos(seed):
    """Comments give the values of THUMOS-14's two splits, or of all videos."""
    videos = list(drawn(seed=seed).values())
    snippets = np.array([v.duration * 25 / 16 for v in videos])
    counts = np.array([len(v.segments) for v in videos])
    lengths = np.array([s.end - s.start for v in videos for s in v.segments])
    labels = [len({s.label for s in v.segments}) for v in videos]
    covered = [
        sum(s.end - s.start for s in v.segments) / v.duration for v in videos
    ]
    assert 215 <= np.median(snippets) <= 265  # 235 and 252
    assert 0.06 <= np.mean(snippets > 750) <= 0.14  # 0.09 and 0.10
    assert 1800 <= snippets.max() <= 2641  # 2612
    assert 6 <= np.median(counts) <= 10  # 8 and 9
    assert 12 <= counts.mean() <= 18  # 15 and 16
    assert 100 <= counts.max() <= 200  # 128 and 218
    assert counts.min() == 1
    assert 2.3 <= np.median(lengths) <= 3.7  # 2.9 and 3.2
    assert 0.15 <= lengths.min()  # 0.2
    assert 40 <= lengths.max() <= 118  # 118
    assert 0.10 <= np.mean(np.array(labels) == 2) <= 0.19  # 0.135 and 0.16
    assert max(labels) == 2
    assert 0.22 <= np.mean(covered) <= 0.36  # 0.31 and 0.33
    assert np.corrcoef(np.log(snippets), np.log(counts))[0, 1] > 0.5  # 0.65


def test_context_lies_beside_actions_and_sometimes_alone():
    rng = np.random.default_rng(0)
    beside = alone = 0
    for _ in range(300):
        actions = [(0, 40.0, 44.0), (1, 100.0, 109.0)]
        for _, start, end in planted_timelines.draw_contexts(
            rng, actions, 150.0
        ):
            assert 0 <= start < end <= 150
            if end in (40.0, 100.0) or start in (44.0, 109.0):
                beside += 1
            else:
                alone += 1
                assert all(start > e + 8 or end < s - 8 for _, s, e in actions)
    assert 840 <= beside <= 960  # 300 videos, 4 sides, probability 3/4
    assert 30 <= alone <= 210


# === Features ===


def plant(difficulty, count=16, feature_dim=256):
    """Draws videos of eight classes: features, phase, context, class.

    The phase of a snippet is 0 outside, 1 in the outer thirds and 2 in the
    middle of an action.
    """
    world = planted_features.make_world(
        np.random.default_rng(0), 8, feature_dim, difficulty
    )
    rows = []
    for video in range(count):
        index = video % 8
        actions = [(index, s, s + 9) for s in range(20, 200, 30)]
        contexts = [(index, s + 9, s + 14) for s in range(20, 200, 30)]
        features = planted_features.draw_features(
            np.random.default_rng([1, video]),
            world,
            planted_features.Timeline(240, tuple(actions), tuple(contexts)),
        )
        phase, context = np.zeros(240, int), np.zeros(240, bool)
        for s in range(20, 200, 30):
            phase[s : s + 9] = [1, 1, 1, 2, 2, 2, 1, 1, 1]
            context[s + 9 : s + 14] = True
        rows.append((features, phase, context, np.full(240, index)))
    return (np.concatenate(part) for part in zip(*rows, strict=True))


@pytest.mark.parametrize("difficulty", [0.5, 1.0, 2.0])
def test_features_look_like_those_of_i3d(difficulty):
    """Measured on I3D: RGB mean .26, deviation .19, 2 % zeros; flow mean .14,
    deviation .14, 13 % zeros; neighbours correlate by 0.6 to 0.8."""
    features, *_ = plant(difficulty)
    rgb, flow = np.split(features, 2, axis=1)
    assert 0.20 <= rgb.mean() <= 0.28
    assert 0.10 <= flow.mean() <= 0.16
    assert 0.01 <= np.mean(rgb == 0) <= 0.05
    assert 0.06 <= np.mean(flow == 0) <= 0.16
    assert 0.08 <= flow.std(axis=0).mean() < rgb.std(axis=0).mean() <= 0.22
    assert 1.5 <= rgb.max() <= 9
    for video in features.reshape(16, 240, -1):
        centred = video - video.mean(0)
        correlation = (centred[1:] * centred[:-1]).mean(0) / centred.var(0)
        assert 0.5 <= correlation.mean() <= 0.85


def test_context_resembles_its_action():
    """It does so more than background, and more at a higher difficulty."""
    cosines = []
    for difficulty in (0.0, 1.0, 2.0):
        world = planted_features.make_world(
            np.random.default_rng(0), 20, 64, difficulty
        )
        actions, contexts, scenes = (
            rows / np.linalg.norm(rows, axis=1, keepdims=True)
            for rows in (world.actions.mean(1), world.contexts, world.scenes)
        )
        cosines.append((actions * contexts).sum(1))
        background = np.abs(actions @ scenes.T).mean(1)
        if difficulty:
            assert (cosines[-1] > background).mean() >= 0.8
    assert np.all(cosines[0] < cosines[1])
    assert np.all(cosines[1] < cosines[2])


def test_context_is_mistaken_for_its_action():
    """Along the way from background to a class's action, context lies above
    most background of the same videos and below the action."""
    features, phase, context, index = plant(1.0)
    for c in range(8):
        action, around, background = (
            features[rows & (index == c)]
            for rows in (phase > 0, context, (phase == 0) & ~context)
        )
        direction = action.mean(0) - background.mean(0)
        low, middle, high = (
            rows @ direction for rows in (background, around, action)
        )
        assert np.mean(middle[:, None] > low) > 0.55
        assert np.mean(high[:, None] > middle) > 0.55


def nearest_mean_accuracy(difficulty):
    """Accuracy for 8 actions and 8 contexts, on the second half of videos."""
    features, phase, context, index = plant(difficulty, count=32)
    target = np.where(phase > 0, index, np.where(context, 8 + index, -1))
    seen = np.arange(len(target)) < len(target) // 2
    means = np.stack(
        [features[seen & (target == k)].mean(0) for k in range(16)]
    )
    unseen = ~seen & (target >= 0)
    distances = np.linalg.norm(features[unseen][:, None] - means, axis=-1)
    return np.mean(distances.argmin(1) == target[unseen])


def test_accuracy_falls_with_difficulty():
    easy, usual, hard = map(nearest_mean_accuracy, (0.0, 1.0, 2.0))
    assert easy > 0.75
    assert easy > usual + 0.1
    assert usual > hard + 0.1
    assert hard > 2 / 16  # still above chance


def test_middle_of_an_action_is_its_clearest_part():
    features, phase, context, index = plant(0.5)
    base = features[(phase == 0) & ~context].mean(0)
    for c in range(8):
        direction = features[(phase > 0) & (index == c)].mean(0) - base
        outer, middle = (
            np.mean(features[(phase == p) & (index == c)] @ direction)
            for p in (1, 2)
        )
        assert middle > outer > base @ direction


def test_classes_come_in_groups():
    world = planted_features.make_world(np.random.default_rng(0), 20, 64, 1.0)
    means = world.actions.mean(1)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    groups = planted_features.group(np.arange(20))
    same = groups[:, None] == groups
    cosines = means @ means.T
    within = cosines[same & ~np.eye(20, dtype=bool)].mean()
    assert within > cosines[~same].mean() + 0.2


def test_motion_is_common_to_all_actions_at_all_times():
    """A direction that separates actions of some classes from background also
    finds those of other classes, and their ends almost as well as middles."""
    features, phase, context, index = plant(0.5, count=32)
    known, plain = index < 4, (phase == 0) & ~context
    direction = features[known & (phase > 0)].mean(0)
    direction -= features[known & plain].mean(0)
    background, ends, middles = (
        features[~known & rows] @ direction
        for rows in (plain, phase == 1, phase == 2)
    )
    found = [np.mean(part[:, None] > background) for part in (ends, middles)]
    assert found[0] > 0.6
    assert found[1] - found[0] < 0.15


def test_covered_in_part():
    # [0.25, 2.5] covers 3/4 of snippet 0, all of 1, half of 2.
    np.testing.assert_array_equal(
        planted_features.covered(0.25, 2.5, 4), [0.75, 1, 0.5, 0]
    )
    np.testing.assert_array_equal(planted_features.covered(1.5, 1.5, 3), 0)


def test_snippet_mixes_in_proportion():
    """A snippet half in an action gets half of the action's term; one fully in
    two actions gets the mean of both."""
    world = planted_features.make_world(np.random.default_rng(0), 2, 64, 0.0)
    flat = np.repeat(world.actions[:, 1:2], 3, axis=1)  # one phase
    world = dataclasses.replace(world, actions=flat, views=0 * world.views)
    actions = ((0, 0.0, 1.5), (0, 3.0, 4.0), (1, 3.0, 4.0))
    timeline = planted_features.Timeline(4, actions, ())
    covered, z = planted_features._plant_actions(
        np.random.default_rng(0), world, timeline
    )
    first, second = flat[:, 0]
    np.testing.assert_array_equal(covered, [1, 0.5, 0, 1])
    np.testing.assert_allclose(
        z, [first, first / 2, 0 * first, (first + second) / 2], atol=1e-5
    )


# === Families ===


def timelines(family, num_videos=48):
    """Timelines of the training videos of a small set with eight classes."""
    config = make_config(
        family=family,
        num_train_videos=num_videos,
        num_test_videos=8,
        num_classes=8,
        median_snippets=120,
    )
    videos = planted_timelines.draw_videos(config)
    labels = sorted({s.label for v in videos.values() for s in v.segments})
    return [
        synthesize.make_timeline(
            planted_timelines.generator(config.seed, name, stage=1),
            video,
            labels,
            config,
        )
        for name, video in videos.items()
        if video.subset == "train"
    ]


def cover(intervals, length):
    """Whether at least half of each snippet lies in the intervals."""
    total = np.zeros(length)
    for start, end in intervals:
        total += planted_features.covered(start, end, length)
    return total >= 0.5


def plant_timelines(family, drawn, difficulty=1.0, feature_dim=128):
    world = planted_features.make_world(
        np.random.default_rng(0), 8, feature_dim, difficulty, FAMILIES[family]
    )
    return [
        planted_features.draw_features(
            np.random.default_rng([1, i]), world, timeline
        )
        for i, timeline in enumerate(drawn)
    ]


def test_flag_offers_all_families():
    (field,) = (f for f in dataclasses.fields(Config) if f.name == "family")
    assert field.metadata["choices"] == tuple(FAMILIES)
    assert field.default == "plain"


@pytest.mark.parametrize("family", ["context", "sparse"])
def test_family_depends_on_seed_and_name_only(tmp_path, family):
    flags = dict(family=family, feature_dim=16)
    first = make_set(tmp_path / "first", **flags)
    assert make_set(tmp_path / "again", **flags) == first
    more = make_set(tmp_path / "more", num_train_videos=8, **flags)
    videos = {k: v for k, v in first.items() if k.endswith(".npy")}
    assert videos.items() <= more.items()
    others = [
        make_set(tmp_path / "seed", **flags | {"seed": 1}),
        make_set(tmp_path / "plain", **flags | {"family": "plain"}),
    ]
    for other in others:
        assert all(other[name] != videos[name] for name in videos)


@pytest.mark.parametrize("family", ["context", "sparse"])
def test_families_have_one_scale(family):
    """Within 5 % of the plain family's, and similar to I3D's (see above)."""
    plain, other = (
        np.concatenate(plant_timelines(name, timelines(name)))
        for name in ("plain", family)
    )
    for statistic in (
        np.mean,
        np.std,
        lambda x: np.linalg.norm(x, axis=1).mean(),
    ):
        assert statistic(other) == pytest.approx(statistic(plain), rel=0.05)
    assert np.mean(other == 0) == pytest.approx(np.mean(plain == 0), abs=0.01)


def share_of_far_context(family):
    """Share of snippets in context among those at least 8 s from actions, and
    the longest context there in seconds."""
    away = shown = 0
    longest = 0.0
    for timeline in timelines(family):
        length, margin = timeline.num_snippets, 8 * 25 / 16
        near = cover(
            [(s - margin, e + margin) for _, s, e in timeline.actions], length
        )
        context = cover([(s, e) for _, s, e in timeline.contexts], length)
        away += np.sum(~near)
        shown += np.sum(~near & context)
        far = [
            (s, e)
            for _, s, e in timeline.contexts
            if not near[int(s) : int(e)].any()
        ]
        longest = max([longest] + [(e - s) * 16 / 25 for s, e in far])
    return shown / away, longest


def test_context_family_shows_context_away_from_actions():
    plain, _ = share_of_far_context("plain")
    strong, longest = share_of_far_context("context")
    assert plain < 0.1
    assert 0.35 < strong < 0.75  # in 0.8 of the gaps, 0.4 to 0.9 of each
    assert longest > 30


def test_copies_lie_in_contexts_and_last_as_actions_do():
    count = seconds = 0
    for timeline in timelines("context"):
        count += len(timeline.copies)
        for _, start, end in timeline.contexts:
            seconds += (end - start) * 16 / 25
        for index, start, end in timeline.copies:
            assert any(
                c == index and s <= start + 1e-6 and end <= e + 1e-6
                for c, s, e in timeline.contexts
            )
            longest = max(e - s for c, s, e in timeline.actions if c == index)
            assert 0 < end - start <= longest + 1e-6
    assert 0.09 < count / seconds < 0.11  # one in 10 s
    assert not any(timeline.copies for timeline in timelines("plain"))


def test_copy_is_a_weak_action():
    """In z, without noise and scenes, it is 0.4 of the action's pattern."""
    world = planted_features.make_world(
        np.random.default_rng(0), 4, 64, 1.0, FAMILIES["context"]
    )
    world = dataclasses.replace(world, views=0 * world.views)
    around = np.array([0, 1, 1, 1, 1, 1, 0], np.float32)
    timeline = planted_features.Timeline(7, (), (), ((2, 1.0, 7.0),))
    z = planted_features._plant_copies(
        np.random.default_rng(0), world, timeline, around
    )
    # The third of six snippets has its middle at 2.5 / 6, a quarter of the way
    # from the middle phase at 1/2 back to the first at 1/6.
    outer, middle, _ = world.actions[2]
    np.testing.assert_allclose(
        z[3], 0.4 * (0.25 * outer + 0.75 * middle), rtol=1e-4, atol=1e-5
    )
    assert not z[[0, 6]].any()  # no context there


def test_copies_look_more_like_actions_than_other_context_does():
    drawn = timelines("context")
    features = plant_timelines("context", drawn)
    rows = {"action": [], "copy": [], "context": [], "rest": []}
    for timeline, x in zip(drawn, features, strict=True):
        length = len(x)
        action, copy, context = (
            cover([(s, e) for _, s, e in part], length)
            for part in (timeline.actions, timeline.copies, timeline.contexts)
        )
        rows["action"].append(x[action])
        rows["copy"].append(x[copy & context & ~action])
        rows["context"].append(x[~copy & context & ~action])
        rows["rest"].append(x[~context & ~action])
    rows = {name: np.concatenate(part) for name, part in rows.items()}
    direction = rows["action"].mean(0) - rows["rest"].mean(0)
    scores = {name: np.mean(part @ direction) for name, part in rows.items()}
    unit = scores["action"] - scores["rest"]
    copy, context = (
        (scores[name] - scores["rest"]) / unit for name in ("copy", "context")
    )
    assert context + 0.1 < copy < 0.9


def nearest_class(drawn, features, choose):
    """Accuracy of nearest class means on the second half of the videos.

    `choose` gives the class of each snippet of a timeline; -1 is left out.
    """
    classes = [choose(timeline) for timeline in drawn]
    half = len(drawn) // 2
    x, y = np.concatenate(features[:half]), np.concatenate(classes[:half])
    means = np.stack([x[y == c].mean(0) for c in range(8)])
    x, y = np.concatenate(features[half:]), np.concatenate(classes[half:])
    distances = (means**2).sum(1) - 2 * x[y >= 0] @ means.T
    return np.mean(distances.argmin(1) == y[y >= 0])


def classes_of(timeline, part):
    found = np.full(timeline.num_snippets, -1)
    for index, start, end in getattr(timeline, part):
        found[cover([(start, end)], timeline.num_snippets)] = index
    if part == "contexts":
        actions = [(s, e) for _, s, e in timeline.actions]
        found[cover(actions, timeline.num_snippets)] = -1
    return found


def test_context_reveals_the_class_in_the_context_family():
    accuracies = []
    for family in ("plain", "context"):
        drawn = timelines(family)
        accuracies.append(
            nearest_class(
                drawn,
                plant_timelines(family, drawn),
                lambda timeline: classes_of(timeline, "contexts"),
            )
        )
    assert accuracies[1] > accuracies[0] + 0.15
    assert 0.6 < accuracies[1] < 0.98


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_families_are_harder_at_a_higher_difficulty(family):
    drawn = timelines(family)
    easy, usual, hard = (
        nearest_class(
            drawn,
            plant_timelines(family, drawn, difficulty),
            lambda timeline: classes_of(timeline, "actions"),
        )
        for difficulty in (0.25, 1.0, 2.0)
    )
    assert easy > usual + 0.1
    assert usual > hard + 0.1
    assert usual > 2 / 8  # twice chance


def test_fewer_than_half_of_a_sparse_action_is_telling():
    for timeline in timelines("sparse"):
        assert len(timeline.telling) == len(timeline.actions)
        for (_, start, end), pieces in zip(
            timeline.actions, timeline.telling, strict=True
        ):
            assert all(start <= s < e <= end + 1e-9 for s, e in pieces)
            share = sum(e - s for s, e in pieces) / (end - start)
            assert 0.24 < share <= 0.4 + 1e-6  # 1 of 4 to 2 of 5 pieces


def test_sparse_actions_last_longer_and_are_fewer():
    plain, sparse = (
        planted_timelines.draw_videos(
            make_config(
                family=family,
                num_train_videos=200,
                num_test_videos=200,
                median_snippets=240,
                num_classes=20,
            )
        ).values()
        for family in ("plain", "sparse")
    )
    lengths = [
        np.median([s.end - s.start for v in videos for s in v.segments])
        for videos in (plain, sparse)
    ]
    counts = [
        np.mean([len(v.segments) for v in videos]) for videos in (plain, sparse)
    ]
    covered = [
        sum(s.end - s.start for v in videos for s in v.segments)
        / sum(v.duration for v in videos)
        for videos in (plain, sparse)
    ]
    assert 2.5 < lengths[1] / lengths[0] < 3.5
    assert 2.3 < counts[0] / counts[1] < 3.5
    assert covered[1] == pytest.approx(covered[0], rel=0.2)


def test_untold_part_of_a_sparse_action_shows_motion_and_view_only():
    world = planted_features.make_world(
        np.random.default_rng(0), 2, 64, 0.0, FAMILIES["sparse"]
    )
    timeline = planted_features.Timeline(
        4, ((1, 0.0, 3.0),), (), (), (((1.0, 1.5),),)
    )
    covered, z = planted_features._plant_actions(
        np.random.default_rng(0), world, timeline
    )
    np.testing.assert_array_equal(covered, [1, 1, 1, 0])
    # Phases are at 1/6, 1/2 and 5/6, the middles of three snippets.
    told = 1.5 * world.actions[1, 1]
    views = [
        [world.motion + view, (told + world.motion) / 2 + view]
        for view in world.views[1]
    ]
    assert any(np.allclose(z[:2], rows, atol=1e-5) for rows in views)
    np.testing.assert_array_equal(z[0], z[2])
    # Motion is common to all actions.
    along = world.actions @ world.motion / (world.motion @ world.motion)
    assert np.all(along > 0.5)


# === Following annotations ===


def write_json(path, database):
    path.write_text(json.dumps({"database": database}))
    return str(path)


def entry(subset, *segments, **more):
    annotations = [{"segment": list(s), "label": k} for k, *s in segments]
    return {"subset": subset, "annotations": annotations, **more}


def test_follows_string_segments_without_duration(tmp_path, capsys):
    path = write_json(
        tmp_path / "gt.json",
        {
            "a": entry("train", ("Diving", "1.5", "4.0"), ("Golf", "6", "7.4")),
            "b": entry("test", ("CliffDiving", 2, 9), ("Diving", 2, 9)),
            "c": entry("test", ("Golf", 1, 9.5), duration=4.0),
            "d": entry("test", ("Golf", 1, 9.5), duration=40.0),
            "e": entry("testing"),
        },
    )
    make_set(tmp_path / "raw", annotations=path)
    database = read_database(tmp_path / "raw")
    # Last end plus 5 s, or the later of last end and the file's duration.
    assert {k: v["duration"] for k, v in database.items()} == {
        "a": 7.4 + 5,
        "b": 9 + 5,
        "c": 9.5,
        "d": 40.0,
    }
    assert database["a"] == {
        "subset": "validation",
        "duration": 12.4,
        "annotations": [
            {"segment": [1.5, 4.0], "label": "Diving"},
            {"segment": [6.0, 7.4], "label": "Golf"},
        ],
    }
    # floor(12.4 * 25 / 16), floor(9.5 * 25 / 16)
    assert np.load(tmp_path / "raw/train/a.npy").shape == (19, 128)
    assert np.load(tmp_path / "raw/test/c.npy").shape == (14, 128)
    assert (tmp_path / "raw/split_test.txt").read_text() == "b\nc\nd\n"
    assert "1 videos without segments left out" in capsys.readouterr().out


@pytest.mark.parametrize(
    "subsets, splits",
    [
        (["validation", "test"], ["train", "test"]),
        (["Validation", "Test"], ["train", "test"]),
        (["training", "validation"], ["train", "test"]),
        (["train", "val"], ["train", "test"]),
        (["train", "test"], ["train", "test"]),
    ],
)
def test_subsets(tmp_path, subsets, splits):
    path = write_json(
        tmp_path / "gt.json",
        {f"v{i}": entry(s, ("A", 1, 2)) for i, s in enumerate(subsets)},
    )
    videos, _ = synthesize.follow(path)
    assert [video.subset for video in videos.values()] == splits


@pytest.mark.parametrize(
    "database, message",
    [
        ({"v": entry("holdout", ("A", 1, 2))}, "holdout"),
        ({"v": entry("test", ("A", 2, 1))}, "reversed"),
        ({"../v": entry("test", ("A", 1, 2))}, "'../v'"),
        ({"v": entry("test")}, "no video has segments"),
    ],
)
def test_refuses_annotations(tmp_path, database, message):
    path = write_json(tmp_path / "gt.json", database)
    with pytest.raises(InputError, match=message):
        make_set(tmp_path / "raw", annotations=path)
    assert [p.name for p in tmp_path.iterdir()] == ["gt.json"]


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_families_follow_annotations(tmp_path, family):
    path = write_json(
        tmp_path / "gt.json",
        {
            "a": entry("train", ("Golf", 1.5, 4), ("Dive", 30, 37.4)),
            "b": entry("test", ("Dive", 2, 9), duration=60.0),
        },
    )
    make_set(tmp_path / "raw", annotations=path, family=family)
    database = read_database(tmp_path / "raw")
    assert {
        name: [a["segment"] for a in video["annotations"]]
        for name, video in database.items()
    } == {"a": [[1.5, 4.0], [30.0, 37.4]], "b": [[2.0, 9.0]]}
    # floor(60 * 25 / 16)
    assert np.load(tmp_path / "raw/test/b.npy").shape == (93, 128)


def test_follows_thumos(tmp_path):
    if not THUMOS.is_file():
        pytest.skip(f"needs THUMOS-14's annotations at {THUMOS}")
    make_set(tmp_path / "raw", annotations=str(THUMOS), feature_dim=4)
    database = read_database(tmp_path / "raw")
    real = json.loads(THUMOS.read_text())["database"]
    assert database.keys() == real.keys()
    for name, video in database.items():
        assert video["duration"] >= real[name]["duration"]
        assert video["subset"] == real[name]["subset"]
        assert [a["segment"] for a in video["annotations"]] == [
            a["segment"] for a in real[name]["annotations"]
        ]
    assert len((tmp_path / "raw/split_train.txt").read_text().split()) == 200
    assert len((tmp_path / "raw/split_test.txt").read_text().split()) == 212


# === Refusals ===


@pytest.mark.parametrize(
    "flags, message",
    [
        ({"feature_dim": 7}, "feature_dim=7"),
        ({"num_classes": 6}, "num_test_videos=5"),
        ({"num_train_videos": 3}, "num_train_videos=3"),
        ({"annotations": "missing.json"}, "missing.json"),
    ],
)
def test_refuses_flags(tmp_path, flags, message):
    with pytest.raises(InputError, match=message):
        make_set(tmp_path / "raw", **flags)
    assert not list(tmp_path.iterdir())


def test_needs_output_dir():
    with pytest.raises(InputError, match="output_dir"):
        synthesize.main(make_config())


def test_overwrite_replaces_only_its_own_folder(tmp_path):
    folder = tmp_path / "raw"
    first = make_set(folder)
    with pytest.raises(InputError, match="--overwrite"):
        make_set(folder)
    assert contents(folder) == first
    second = make_set(folder, seed=1, overwrite=True)
    assert second.keys() == first.keys()
    assert second != first
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").write_text("mine")
    with pytest.raises(InputError, match="not a folder that synthesize"):
        make_set(tmp_path / "thesis", overwrite=True)
    assert (tmp_path / "thesis/chapter.tex").read_text() == "mine"
    assert {p.name for p in tmp_path.iterdir()} == {"raw", "thesis"}


def test_unwritable_place(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        make_set(tmp_path / "file" / "raw")


@pytest.mark.parametrize(
    "error, expected",
    [
        (OSError(28, "No space left on device"), InputError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_leaves_nothing_behind(tmp_path, monkeypatch, error, expected):
    before = make_set(tmp_path / "raw")
    save, saved = synthesize._save, []

    def fail_at_third(path, array):
        saved.append(path)
        if len(saved) == 3:
            raise error
        save(path, array)

    monkeypatch.setattr(synthesize, "_save", fail_at_third)
    with pytest.raises(expected):
        make_set(tmp_path / "raw", seed=1, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
    assert contents(tmp_path / "raw") == before
