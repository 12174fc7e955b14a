"""The store of finished units, without a runner."""

import pytest

from tests.engine import jobs
from tfwstal.engine.units import TRIES, Job, Store, Unit
from tfwstal.errors import InputError


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "out.incomplete")


def unit(name, *depends_on):
    return Unit(name, name, depends_on)


def perform(store, units, work):
    todo = store.begin(units)
    counts = [store.perform(u.id, Job(jobs.nothing, work)) for u in todo]
    return len(todo), counts


def calls(store):
    path = store.path.parent / "calls"
    return path.read_text().splitlines() if path.exists() else []


def test_a_unit_is_done_once(store):
    units = [unit("a"), unit("bb")]
    counts = [{"units": 1, "letters": n} for n in (1, 2)]
    assert perform(store, units, jobs.note) == (2, counts)
    assert store.perform(units[0].id, Job(jobs.nothing, jobs.note)) == {}
    assert perform(store, units, jobs.note) == (0, [])
    assert len(calls(store)) == 2
    found = store.outcome(units, done_before=2)
    assert list(found.finished) == ["a", "bb"]
    assert found.finished["bb"].result == {"of": "bb"}
    assert (found.finished["bb"].folder / "inside/file").read_text() == "bb"
    summary = found.summary({"videos_left_out": 4})
    assert "letters: 3, videos left out: 4" in summary
    assert "units: 2 (2 of them from an earlier run)" in summary
    assert "worker processes: 1" in summary
    found.store.remove()
    assert not store.path.exists()


def test_another_key_is_another_unit(store):
    perform(store, [unit("a", "float32", 1.5)], jobs.note)
    assert perform(store, [unit("a", "float32", 1.5)], jobs.note)[0] == 0
    assert perform(store, [unit("a", "float16", 1.5)], jobs.note)[0] == 1
    assert perform(store, [unit("a", "float32", 1.25)], jobs.note)[0] == 1


def test_a_unit_whose_file_was_taken_is_done_again(store):
    perform(store, [unit("a")], jobs.note)
    (store.path / unit("a").id / "inside" / "file").unlink()
    assert perform(store, [unit("a")], jobs.note)[0] == 1
    assert len(calls(store)) == 2
    assert list(store.outcome([unit("a")], 0).finished) == ["a"]


def test_bad_input_is_an_answer(store):
    units = [unit("a"), unit("b")]
    assert perform(store, units, jobs.refuse) == (2, [{}, {}])
    assert len(calls(store)) == 2  # not tried again
    found = store.outcome(units, 0)
    assert found.errors == {"a": "a is bad input", "b": "b is bad input"}
    # With good input, the same command does the unit.
    assert perform(store, units, jobs.note)[0] == 2
    assert store.outcome(units, 0).errors == {}


def test_a_failure_is_tried_again(store, capsys):
    perform(store, [unit("a")], jobs.fail_once)
    assert len(calls(store)) == 2
    assert list(store.outcome([unit("a")], 0).finished) == ["a"]
    assert "RuntimeError: no luck with a" in capsys.readouterr().err


def test_a_unit_that_fails_every_time_is_named(store):
    perform(store, [unit("good")], jobs.note)
    units = [unit("good"), unit("bad")]
    assert perform(store, units, jobs.fail)[0] == 1
    assert len(calls(store)) == 1 + TRIES
    with pytest.raises(InputError) as raised:
        store.outcome(units, 1)
    message = str(raised.value)
    assert message.startswith(
        "1 of 2 units failed: bad (3 tries, RuntimeError: no luck with bad)"
    )
    assert f"1 of 2 units are finished and kept in {store.path}" in message
    assert perform(store, units, jobs.note)[0] == 1


def test_two_workers_may_do_the_same_unit(store):
    (counts,) = perform(store, [unit("a")], jobs.do_twice)[1]
    assert counts == {"units": 1, "letters": 1}
    assert len(calls(store)) == 2
    assert list(store.outcome([unit("a")], 0).finished) == ["a"]
    assert store.under_way() == []


def test_what_a_lost_worker_leaves_is_named_and_removed(store):
    store.begin([unit("a.b")])
    (store.path / ".a.b.x1y2z3").mkdir()
    (store.path / ".a.b.x1y2z3" / "half").touch()
    assert store.under_way() == ["a.b"]
    with pytest.raises(InputError, match=r"a\.b \(not done by the runner\)"):
        store.outcome([unit("a.b")], 0)
    perform(store, [unit("a.b")], jobs.note)
    assert store.under_way() == []


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file/x.incomplete cannot be written"):
        Store(tmp_path / "file" / "x.incomplete").begin([unit("a")])


def test_what_units_share_is_prepared_once(store):
    for units in ([unit("a"), unit("b")], [unit("c")]):
        for each in store.begin(units):
            store.perform(each.id, Job(jobs.count, jobs.note))
    assert calls(store) == ["a 1", "b 1", "c 1"]
