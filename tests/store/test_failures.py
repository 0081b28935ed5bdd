"""A database that cannot be used says in one line what is wrong and what to do, and never its password."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from alertd.errors import StoreError
from alertd.store import open_store

OPEN = """
import asyncio, os, sys
import sqlalchemy.dialects.sqlite.aiosqlite, aiosqlite  # later this user may not read where they lie
from alertd.errors import StoreError
from alertd.store import open_store

async def main():
    store = await open_store(sys.argv[1])
    await store.saw("production", 1, 1)

if os.geteuid() == 0:
    os.setuid(65534)
try:
    asyncio.run(main())
except StoreError as error:
    print(error)
"""
"""Opens a store as a user who owns nothing: permissions do not bind root."""


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that other users of the machine can enter, unlike tmp_path."""
    with tempfile.TemporaryDirectory(prefix="alertd-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def told_by(program: str, url: str) -> str:
    """What a program prints."""
    done = subprocess.run([sys.executable, "-c", program, url], check=False, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


async def test_a_locked_file_is_named_with_what_to_do(tmp_path):
    url = f"sqlite:///{tmp_path}/busy.db?timeout=0.1"
    other = sqlite3.connect(tmp_path / "busy.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(StoreError, match=r"busy\.db is locked by another program; end it"):
            await open_store(url)
    finally:
        other.close()
    await (await open_store(url)).close()


async def test_a_lock_met_later_fails_that_call_and_not_the_next(tmp_path):
    store = await open_store(f"sqlite:///{tmp_path}/busy.db?timeout=0.1")
    other = sqlite3.connect(tmp_path / "busy.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StoreError, match=r"busy\.db is locked by another program"):
            await store.saw("production", 100, gap=60)
        assert await store.sights() == ()
    finally:
        other.close()
    await store.saw("production", 100, gap=60)
    assert len(await store.sights()) == 1
    await store.close()


def test_a_read_only_file_is_named_with_what_to_do(public_folder, sqlite_template):
    path = public_folder / "frozen.db"
    path.write_bytes(sqlite_template.read_bytes())
    path.chmod(0o444)
    told = told_by(OPEN, f"sqlite:///{path}")
    assert "frozen.db cannot be written (Permission denied); let this user write the file and its folder" in told


@pytest.mark.skipif(os.geteuid() != 0, reason="the file is given to another user")
def test_a_read_only_folder_is_named_with_what_to_do(public_folder, sqlite_template):
    path = public_folder / "held.db"
    path.write_bytes(sqlite_template.read_bytes())
    os.chown(path, 65534, 65534)
    told = told_by(OPEN, f"sqlite:///{path}")
    assert "held.db cannot be opened; its folder must exist and this user must be able to write in it" in told or (
        "held.db is read-only; let this user write the file and its folder" in told
    )


async def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"folder .*/nowhere of the database a\.db does not exist; create it"):
        await open_store(f"sqlite:///{tmp_path}/nowhere/a.db")


async def test_a_folder_is_not_a_file(tmp_path):
    with pytest.raises(StoreError, match=r"cannot be written \(Is a directory\)"):
        await open_store(f"sqlite:///{tmp_path}")


async def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path):
    diary = tmp_path / "diary.txt"
    diary.write_text("Dear diary, " * 100, encoding="utf-8")
    with pytest.raises(StoreError, match=r"diary\.txt is not a database; point \[store\] url at another file"):
        await open_store(f"sqlite:///{diary}")
    assert diary.read_text(encoding="utf-8") == "Dear diary, " * 100


@pytest.mark.parametrize("url", ["", "alertd.db", "sqlite://", "sqlite:///:memory:", "mysql://u:hunter2@h/d", "://"])
async def test_another_kind_of_url_is_answered_with_the_right_ones(url):
    with pytest.raises(StoreError, match="write sqlite:///PATH or postgresql://USER@HOST/DATABASE") as told:
        await open_store(url)
    assert "hunter2" not in str(told.value)


async def test_a_timeout_that_is_no_number_is_said_so(tmp_path):
    with pytest.raises(StoreError, match=r"\?timeout=5"):
        await open_store(f"sqlite:///{tmp_path}/a.db?timeout=soon")


async def test_a_server_that_is_not_there_is_named_without_the_password():
    with socket.socket() as closed:  # bound and not listening: nobody else gets the port, and nobody answers
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(StoreError, match=f"127.0.0.1:{port}/alertd cannot be reached; check host and port") as told:
            await open_store(f"postgresql://alertd:hunter2@127.0.0.1:{port}/alertd")
    assert "hunter2" not in str(told.value)


async def test_a_database_that_is_missing_on_the_server_is_said_so(postgres_server):
    url = make_url(postgres_server).set(database="nowhere").render_as_string(hide_password=False)
    with pytest.raises(StoreError, match=r"has no such database; create it \(CREATE DATABASE\)"):
        await open_store(url)


async def test_a_refused_login_is_said_so_without_the_password(postgres_server):
    url = make_url(postgres_server).set(username="nobody_we_know", password="hunter2")
    with pytest.raises(StoreError, match="refused the login; check user and password") as told:
        await open_store(url.render_as_string(hide_password=False))
    assert "hunter2" not in str(told.value)


async def test_a_user_without_rights_is_told_which(postgres_url, postgres_sql):
    name = f"guest_{os.getpid()}"
    postgres_sql(f"CREATE ROLE {name} LOGIN PASSWORD 'hunter2'")
    try:
        url = make_url(postgres_url).set(username=name, password="hunter2").render_as_string(hide_password=False)
        with pytest.raises(StoreError, match="grant it the schema"):
            await open_store(url)
    finally:
        postgres_sql(f"DROP ROLE {name}")


def test_without_the_driver_the_extra_is_named():
    blocked = "import sys; sys.modules['asyncpg'] = None\n"
    told = told_by(blocked + OPEN, "postgresql://alertd@127.0.0.1/alertd")
    assert "pip install 'alertd[postgres]'" in told


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
async def test_a_server_that_went_away_and_came_back_is_used_again(store, neighbour, postgres_sql, url):
    await store.ping()
    name = make_url(url).database
    postgres_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    await store.ping()
    await store.saw("production", 100, gap=60)
    assert len(await neighbour.sights()) == 1
