"""State URLs: what each part means, whatever is in it, and that none of it is shown where it may be a password."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from patchctl.documents.settings import resolve_state
from patchctl.model.errors import StoreChoiceError
from patchctl.store.url import parse_url, server_options, sqlite_path


def options(url: str) -> dict[str, str]:
    return server_options(parse_url(url))


HERE = Path.cwd().resolve()

# What SQLAlchemy 2.1 (make_url, and create_connect_args of its psycopg dialect) said of the same URLs.
SQLITE = {
    "sqlite:///x.db": HERE / "x.db",
    "sqlite:////a/b c.db": Path("/a/b c.db"), "sqlite:////a/b%20c.db": Path("/a/b c.db"),
    "sqlite:////a#b&c=d": Path("/a#b&c=d"), "sqlite+pysqlite:///x": HERE / "x", "sqlite:////a/u:p@h": Path("/a/u:p@h"),
    "sqlite:///~/x": Path("~/x").expanduser().resolve(),
}  # fmt: skip
POSTGRESQL = {
    "postgresql://": {}, "postgresql:///d": {"dbname": "d"}, "postgresql://h": {"host": "h"},
    "postgresql://u@h/d": {"host": "h", "dbname": "d", "user": "u"},
    "postgresql://u:p@h:5432/d": {"host": "h", "dbname": "d", "user": "u", "password": "p", "port": "5432"},
    "postgresql+psycopg://u:p@h/d": {"host": "h", "dbname": "d", "user": "u", "password": "p"},
    "postgresql+psycopg2://h/d": {"host": "h", "dbname": "d"},
    "postgresql://u:p%40w%2F%3A@h/d%20b": {"host": "h", "dbname": "d b", "user": "u", "password": "p@w/:"},
    "postgresql://u%40x:p+w@h/d": {"host": "h", "dbname": "d", "user": "u@x", "password": "p+w"},
    "postgresql://u:p@[::1]:5433/d": {"host": "::1", "dbname": "d", "user": "u", "password": "p", "port": "5433"},
    "postgresql://u:p/w@h/d": {"host": "h", "dbname": "d", "user": "u", "password": "p/w"},
    "postgresql://u:p?w@h/d": {"host": "h", "dbname": "d", "user": "u", "password": "p?w"},
    "postgresql://u:pw@": {"user": "u", "password": "pw"}, "postgresql://@h/d": {"host": "h", "dbname": "d"},
    "postgresql://:pw@h/d": {"host": "h", "dbname": "d", "password": "pw"},
    "postgresql://u:@h/d": {"host": "h", "dbname": "d", "user": "u"},
    "postgresql://h/d?sslmode=require&connect_timeout=5":
        {"host": "h", "dbname": "d", "sslmode": "require", "connect_timeout": "5"},
    "postgresql://h/d?host=/run/pg": {"host": "/run/pg", "dbname": "d"},
    "postgresql://u@/d?host=a:1&host=b:2": {"dbname": "d", "user": "u", "host": "a,b", "port": "1,2"},
    "postgresql://h/d?options=-csearch_path%3Dx": {"host": "h", "dbname": "d", "options": "-csearch_path=x"},
    "postgresql://h/d/e": {"host": "h", "dbname": "d/e"}, "postgresql://h/d#f": {"host": "h", "dbname": "d#f"},
    "postgresql://u@h1,h2/d": {"host": "h1,h2", "dbname": "d", "user": "u"},
    "postgresql://h/d?password=x%26y&user=me": {"host": "h", "dbname": "d", "password": "x&y", "user": "me"},
}  # fmt: skip


@pytest.mark.parametrize("url", SQLITE)
def test_an_sqlite_url_means_what_it_always_meant(url):
    assert sqlite_path(url) == SQLITE[url]


@pytest.mark.parametrize("url", POSTGRESQL)
def test_a_postgresql_url_means_what_it_always_meant(url):
    assert options(url) == POSTGRESQL[url]


@pytest.mark.parametrize(
    "url",
    [
        "what", "", "sqlite:/x", "SQLITE:///x", " sqlite:///x", "mysql://u:secret@h/d", "postgres://u:secret@h/d",
        "postgresql:/secret", "postgresql://u:secret", "postgresql://u:secret@h:/d", "postgresql://u:p@secret@h/d",
        "postgresql://u:p@h:secret/d", "postgresql://u:p@h:70000/d", "postgresql://h/d?password=secret&password=secret",
        "postgresql://u:p@[::1]secret/d", "postgresql://u:p@h1:1,h2:2/d",
    ],
)  # fmt: skip
def test_a_bad_server_url_is_refused_without_showing_a_part_of_it(url):
    with pytest.raises(StoreChoiceError) as caught:
        options(url)
    assert caught.value.code == "state-url"
    assert caught.value.hint
    assert "secret" not in f"{caught.value.message} {caught.value.hint} {caught.value.__cause__}"


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite://host/x", "sqlite://x.db", "sqlite:////a?b=c",
            "sqlite:////a%00", "postgresql://h/d"],
)  # fmt: skip
def test_what_names_no_file_is_refused(url):
    with pytest.raises(StoreChoiceError) as caught:
        sqlite_path(url)
    assert (caught.value.code, bool(caught.value.hint)) == ("state-url", True)


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)


@given(user=texts, password=texts, database=texts, value=texts, port=st.integers(1, 65535))
def test_what_is_percent_encoded_comes_out_as_it_was(user, password, database, value, port):
    def part(text: str) -> str:
        return quote(text, safe="")

    url = f"postgresql://{part(user)}:{part(password)}@db.example:{port}/{part(database)}?options={quote_plus(value)}"
    assert options(url) == {
        "user": user, "password": password, "host": "db.example", "port": str(port), "dbname": database,
        "options": value,
    }  # fmt: skip


names = texts.filter(lambda t: "/" not in t and not t.startswith("~") and t not in (".", ".."))


@given(name=names)
def test_a_path_may_hold_anything(name):
    assert sqlite_path(f"sqlite:////srv/{quote(name, safe='')}/state.db") == Path(f"/srv/{name}/state.db")


@given(folder=names, name=names)
@example(folder="a%41", name="b?c%3F")
def test_a_path_given_as_a_setting_is_that_path(folder, name):
    wanted = Path(f"/srv/{folder}/{name}")
    if "://" not in name:
        assert sqlite_path(resolve_state(name, Path(f"/srv/{folder}"))) == wanted
    relative = f"sqlite:///{quote(name, safe='')}"
    assert sqlite_path(resolve_state(relative, Path(f"/srv/{folder}"))) == wanted


def test_options_of_a_relative_sqlite_url_stay_refused():
    with pytest.raises(StoreChoiceError, match="no options"):
        sqlite_path(resolve_state("sqlite:///x?mode=ro", Path("/srv/a%20b")))
