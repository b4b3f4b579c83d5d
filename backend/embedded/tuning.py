"""The settings of the embedded servers, one table each, with the reason for every line.

The same values are the recommendation for servers of your own (``docker-compose.yml`` uses them). Where a
value repeats the server's default, the line is there because a promise rests on it.
"""

from __future__ import annotations

import os
from typing import NamedTuple

MIB = 1024 * 1024


class Setting(NamedTuple):
    """One setting of a server: its name, its value as the server reads it, and why."""

    name: str
    value: str
    reason: str


def shared_buffers_mib() -> int:
    """An eighth of this machine's memory, between 64 and 512 MiB: the stack shares a laptop with others."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MIB
    except (ValueError, OSError):
        memory = 2048
    return max(64, min(512, memory // 8))


def connections_for(worker_children: int) -> Setting:
    """How many sessions PostgreSQL allows, by the number of Celery children.

    The API takes at most 20 (DB_POOL_SIZE + DB_POOL_OVERFLOW), a worker child 2 while it runs a part and 4 in
    an export (2 + EXPORT_STREAMS), beat and the health checks a few; the rest is for scripts and people.
    """
    return Setting(
        "max_connections",
        str(max(200, 80 + 4 * worker_children)),
        "20 for the API, up to 4 per worker child, beat, scripts; idle ones cost little",
    )


def postgres_settings() -> tuple[Setting, ...]:
    """PostgreSQL 15 to 18."""
    return (
        Setting("fsync", "on", "an accepted request survives a power cut"),
        Setting("synchronous_commit", "on", "202 is answered only after the commit is on disk"),
        Setting("full_page_writes", "on", "a torn page after a crash is repaired"),
        connections_for(worker_children=0),
        Setting("shared_buffers", f"{shared_buffers_mib()}MB", "an eighth of memory, at most 512 MB"),
        Setting("work_mem", "16MB", "sorts and hash joins of one part stay in memory"),
        Setting("maintenance_work_mem", "128MB", "quicker vacuum of the cards' indexes"),
        Setting("wal_level", "minimal", "nothing replicates from a laptop; less is written per card"),
        Setting("max_wal_senders", "0", "required by wal_level=minimal"),
        Setting("max_wal_size", "2GB", "a large import does not force checkpoints in its middle"),
        Setting("min_wal_size", "256MB", "WAL files are reused instead of made anew"),
        Setting("checkpoint_timeout", "15min", "fewer full-page images while importing"),
        Setting("checkpoint_completion_target", "0.9", "checkpoints write evenly"),
        Setting("wal_buffers", "16MB", "several parts commit side by side"),
        Setting("random_page_cost", "1.1", "solid-state disks"),
        Setting("jit", "off", "every statement is short; compiling one costs more than it saves"),
        Setting("autovacuum_vacuum_scale_factor", "0.05", "import and delete rounds do not bloat the tables"),
        Setting("autovacuum_analyze_scale_factor", "0.05", "plans follow bulk loads quickly"),
        Setting("autovacuum_vacuum_insert_scale_factor", "0.1", "index-only scans after bulk loads"),
        Setting("autovacuum_naptime", "15s", "the first big import is analysed soon after"),
        Setting(
            "tcp_keepalives_idle", "10", "the session of a vanished worker ends, and gives back its part"
        ),
        Setting("tcp_keepalives_interval", "5", "as above"),
        Setting("tcp_keepalives_count", "3", "as above"),
        Setting("timezone", "UTC", "times are written and read in one zone"),
        Setting("log_timezone", "UTC", "as above"),
        Setting("log_lock_waits", "on", "a stuck part shows in the log"),
        Setting("log_line_prefix", "%m [%p] %a ", "each line says when, who and which application"),
        Setting("restart_after_crash", "on", "a killed backend does not end the server"),
    )


THROWAWAY: tuple[Setting, ...] = (
    Setting("fsync", "off", "a test's database is thrown away"),
    Setting("full_page_writes", "off", "as above"),
    Setting("shared_buffers", "64MB", "one server per test process"),
    Setting("max_connections", "100", "one test at a time"),
    Setting("max_wal_size", "512MB", "small disks"),
    Setting("log_lock_waits", "off", "tests provoke them"),
)


def redis_settings() -> tuple[Setting, ...]:
    """Redis 6.2 to 8, Valkey 8. Nothing is lost without Redis; this keeps wake-ups across its restart."""
    return (
        Setting("appendonly", "yes", "queued wake-ups survive a restart of Redis"),
        Setting(
            "appendfsync", "everysec", "at most a second of wake-ups is lost, and the sweeper makes up for it"
        ),
        Setting("maxmemory", "256mb", "messages are ids: more than this means something is wrong"),
        Setting("maxmemory-policy", "noeviction", "a full Redis refuses, it never drops a queue"),
        Setting("save", '""', "the append-only file is enough; no fork for snapshots"),
        Setting("tcp-keepalive", "10", "vanished clients are noticed"),
        Setting("timeout", "0", "idle workers keep their connection"),
        Setting("databases", "16", "broker in 0; more for tests"),
    )
