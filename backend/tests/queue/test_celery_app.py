"""Celery's settings, each of which a promise rests on."""

from __future__ import annotations

from backend.queue.celery_app import PURGE, RUN, SWEEP, app


def test_there_is_no_result_backend_so_that_publishing_never_waits_for_one():
    assert app.conf.result_backend is None
    assert app.conf.task_ignore_result is True


def test_the_message_of_a_killed_child_comes_back_and_is_never_delivered_while_it_runs():
    assert app.conf.task_acks_late is True
    assert app.conf.task_reject_on_worker_lost is True
    assert app.conf.broker_transport_options["visibility_timeout"] > app.conf.task_time_limit


def test_the_documented_time_limits():
    assert (app.conf.task_soft_time_limit, app.conf.task_time_limit) == (3_300, 3_600)


def test_only_json_is_taken_so_that_a_message_can_run_nothing():
    assert app.conf.accept_content == ["json"]
    assert app.conf.task_serializer == "json"


def test_no_socket_waits_for_ever():
    options = app.conf.broker_transport_options
    assert 0 < options["socket_timeout"] <= 60
    assert 0 < options["socket_connect_timeout"] <= 5
    assert app.conf.broker_connection_max_retries is None


def test_the_clock_runs_the_sweeper_and_the_purge_and_missed_turns_are_dropped():
    entries = {entry["task"]: entry for entry in app.conf.beat_schedule.values()}
    assert set(entries) == {SWEEP, PURGE}
    for entry in entries.values():
        assert entry["options"]["expires"] == entry["schedule"]


def test_every_task_is_known_under_its_name():
    app.loader.import_default_modules()
    assert {RUN, SWEEP, PURGE} <= set(app.tasks)
