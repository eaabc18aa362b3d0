"""A setting comes from its flag, else from its variable, else from the default of its class."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from jelmon.config.reader import SettingsReader, given
from jelmon.config.settings import ListenAddress
from jelmon.errors import ConfigError

FLAG, VARIABLE = "--x.some-value", "SOME_VALUE"


def reader(flag: object = None, environ: Mapping[str, str] | None = None) -> SettingsReader:
    return SettingsReader(argparse.Namespace(x_some_value=flag), environ or {})


def test_a_flag_takes_precedence_over_the_variable() -> None:
    assert reader("a", {VARIABLE: "b"}).text(FLAG, VARIABLE) == "a"
    assert reader(None, {VARIABLE: "b"}).text(FLAG, VARIABLE) == "b"


def test_empty_values_are_not_given() -> None:
    assert reader("", {VARIABLE: ""}).text(FLAG, VARIABLE) is None


def test_an_empty_list_is_given_by_the_flag_alone() -> None:
    """``--actions.allowed ''`` allows nothing."""
    assert reader("").words(FLAG) == ()
    assert reader(None, {VARIABLE: ""}).words(FLAG, VARIABLE) is None
    assert reader(" a, b,,").words(FLAG) == ("a", "b")


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (SettingsReader.duration, "1m", 60.0),
        (SettingsReader.whole, "3", 3),
        (SettingsReader.number, "0.5", 0.5),
        (SettingsReader.path, "a/b", Path("a/b")),
        (SettingsReader.address, ":80", ListenAddress("", 80)),
    ],
)
def test_values_are_parsed(read: Callable[[SettingsReader, str, str], object], text: str, value: object) -> None:
    assert read(reader(text), FLAG, "") == value


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (SettingsReader.duration, "'x' is not a duration"),
        (SettingsReader.whole, "'x' is not a whole number"),
        (SettingsReader.number, "'x' is not a number"),
        (SettingsReader.address, "'x' is not an address"),
    ],
)
def test_the_error_names_the_flag_or_variable(read: Callable[[SettingsReader, str, str], object], message: str) -> None:
    with pytest.raises(ConfigError) as flag:
        read(reader("x"), FLAG, VARIABLE)
    with pytest.raises(ConfigError) as variable:
        read(reader(None, {VARIABLE: "x"}), FLAG, VARIABLE)

    assert (flag.value.message, variable.value.message) == (f"{FLAG}: {message}", f"{VARIABLE}: {message}")


def test_a_database_url_comes_from_the_flag_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text("postgresql://me:secret@db/x\n")
    environ = {f"{VARIABLE}_FILE": str(path)}

    assert reader("sqlite:///x").database_url(FLAG, VARIABLE) == "sqlite:///x"
    assert reader(None, environ).database_url(FLAG, VARIABLE) == "postgresql://me:secret@db/x"
    assert reader().database_url(FLAG, VARIABLE) is None
    with pytest.raises(ConfigError, match=f"{FLAG} and {VARIABLE}_FILE are both set"):
        reader("sqlite:///x", environ).database_url(FLAG, VARIABLE)
    with pytest.raises(ConfigError, match=f"{FLAG} contains a password"):
        reader("postgresql://me:secret@db/x").database_url(FLAG, VARIABLE)


def test_only_given_settings_replace_defaults() -> None:
    assert given(a=None, b=0, c=()) == {"b": 0, "c": ()}
