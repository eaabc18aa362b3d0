"""Flags for event fields, derived from the structs of `jelmon.events`: a new field there is a new flag here."""

import argparse
import difflib
import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from jelmon.errors import ConfigError, EventError
from jelmon.events import EVENT_TYPES, Data, Event, Id, Time, make, validated

DEFAULT_SOURCE = "/jelmon/emit"
_PREFIX = "jelmore."
_DESTINATION = "field_"


def add_event_arguments(parser: argparse.ArgumentParser) -> None:
    """Add flags for the attributes of every event and for every field of every type's data."""
    group = parser.add_argument_group("attributes of every event")
    group.add_argument("--subject", metavar="ID", help="id of the card, session or action")
    _add_attributes(group)
    group = parser.add_argument_group("data of the event, by event type")
    for name, (hint, kinds) in sorted(_fields().items()):
        _add_field(group, name, hint, f" ({', '.join(kinds)})")
    group.add_argument("--data", metavar="JSON", help="all data as a JSON object; flags override its fields")


def _add_attributes(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--source", default=DEFAULT_SOURCE, metavar="URI", help="URI of the producer (default: %(default)s)"
    )
    group.add_argument(
        "--time", metavar="RFC3339", help="time of the event, such as 2026-01-31T12:00:00Z (default: now)"
    )
    group.add_argument("--id", metavar="ID", help="event id; events with the same id count once (default: random)")
    group.add_argument("--traceparent", metavar="W3C", help="trace context")


def _add_field(group: "argparse._ArgumentGroup", name: str, hint: Any, note: str = "") -> None:
    words = "" if note else _words(_plain(hint))  # the words depend on the type
    text = f"{_description(hint)}{words}{note}".replace("%", "%%")
    if hint is bool or _plain(hint) is bool:
        group.add_argument(_flag(name), dest=_DESTINATION + name, action="store_const", const="true", help=text)
    else:
        group.add_argument(_flag(name), dest=_DESTINATION + name, metavar=_metavar(hint), help=text)


def type_help(kind: type[Event]) -> str:
    """Return the help of one event type: what it reports, and its flags, the required ones first."""
    label = str(kind.__struct_config__.tag).removeprefix(_PREFIX)
    subject, hints = _needs_subject(kind), get_type_hints(data_class(kind), include_extras=True)
    required = {field.name for field in msgspec.structs.fields(data_class(kind)) if field.required}
    parser = argparse.ArgumentParser(
        prog=f"jelmon emit {label}",
        usage=" ".join(
            ["jelmon emit", label, *(f"{_flag(name)} {_metavar(hints[name])}" for name in hints if name in required)]
            + ["--subject ID"] * subject
            + ["[FLAGS]"]
        ),
        description=(kind.__doc__ or "").strip(),
        epilog="`jelmon emit --help` describes the other flags: the server, files, and what to do with the event.",
        add_help=False,
    )
    group = parser.add_argument_group("required")
    for name in hints:
        if name in required:
            _add_field(group, name, hints[name])
    if subject:
        group.add_argument("--subject", metavar="ID", help="id of the card, session or action")
    group = parser.add_argument_group("optional")
    for name in hints:
        if name not in required:
            _add_field(group, name, hints[name])
    _add_attributes(group)
    return parser.format_help()


def event_of(args: argparse.Namespace) -> Event:
    """Return the event that the flags describe.

    Raises:
        ConfigError: the type is unknown, it does not have a given field, or a value is invalid.
        EventError: a consumer would refuse the event.
    """
    kind = kind_named(args.type)
    label = args.type.removeprefix(_PREFIX)
    hints = get_type_hints(data_class(kind), include_extras=True)
    fields = _data_of(args.data)
    for name, text in _given(args):
        if name not in hints:
            known = ", ".join(_flag(field) for field in hints)
            raise ConfigError(f"{label} has no {_flag(name)}", hint=f"it has {known}")
        fields[name] = _value(_flag(name), text, hints[name])
    unknown = [name for name in fields if name not in hints]
    if unknown:
        near = difflib.get_close_matches(unknown[0], hints, n=1)
        raise ConfigError(
            f"--data: {label} has no field {unknown[0]!r}",
            hint=f"did you mean {near[0]!r}?" if near else f"it has {', '.join(hints)}",
        )
    try:
        data = msgspec.convert(fields, data_class(kind))
    except msgspec.ValidationError as error:
        raise ConfigError(f"{label}: {error}", hint=_missing_hint(str(error))) from error
    if args.subject is None and _needs_subject(kind):
        raise ConfigError(f"{label} needs --subject", hint="the id of the card, session or action")
    event = make(
        kind,
        data,
        source=args.source,
        subject=args.subject,
        time=None if args.time is None else _time(args.time),
        id=None if args.id is None else _value("--id", args.id, Id),
        traceparent=args.traceparent,
    )
    try:
        return validated(event)
    except EventError as error:
        raise ConfigError(error.message, hint=error.hint) from error


def short_names() -> list[str]:
    """Return the event types without prefix, such as ``card.finished``."""
    return [name.removeprefix(_PREFIX) for name in EVENT_TYPES]


def kind_named(name: str) -> type[Event]:
    """Return the class of ``card.finished`` or ``jelmore.card.finished``.

    Raises:
        ConfigError: the type is unknown.
    """
    kind = EVENT_TYPES.get(_PREFIX + name.removeprefix(_PREFIX))
    if kind is None:
        near = difflib.get_close_matches(name.removeprefix(_PREFIX), short_names(), n=1)
        raise ConfigError(
            f"unknown event type {name!r}",
            hint=f"did you mean {near[0]!r}?" if near else f"the types are {', '.join(short_names())}",
        )
    return kind


def data_class(kind: type[Event]) -> type[Data]:
    """Return the struct of the type's ``data``."""
    struct = get_type_hints(kind)["data"]
    assert isinstance(struct, type)
    assert issubclass(struct, Data)
    return struct


def _fields() -> dict[str, tuple[Any, list[str]]]:
    """Return field -> (its type, the short names of the event types that have it)."""
    fields: dict[str, tuple[Any, list[str]]] = {}
    for name, kind in EVENT_TYPES.items():
        for field, hint in get_type_hints(data_class(kind), include_extras=True).items():
            fields.setdefault(field, (hint, []))[1].append(name.removeprefix(_PREFIX))
    return {field: (hint, _shortened(kinds)) for field, (hint, kinds) in fields.items()}


def _shortened(kinds: list[str]) -> list[str]:
    return kinds if len(kinds) <= 4 else [*kinds[:4], f"and {len(kinds) - 4} more"]


def _flag(field: str) -> str:
    return f"--{field.replace('_', '-')}"


def _given(args: argparse.Namespace) -> Iterator[tuple[str, str]]:
    for name, value in vars(args).items():
        if name.startswith(_DESTINATION) and value is not None:
            yield name.removeprefix(_DESTINATION), value


def _plain(hint: Any) -> Any:
    """Return the type without its annotations and without ``| None``."""
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    parts = [part for part in get_args(hint) if part is not type(None)]
    if type(None) in get_args(hint) and len(parts) == 1:
        return _plain(parts[0])
    return hint


def _description(hint: Any) -> str:
    for part in getattr(hint, "__metadata__", ()):
        if isinstance(part, msgspec.Meta) and part.description:
            return part.description
    for part in get_args(hint):
        description = _description(part)
        if description:
            return description
    return ""


def _metavar(hint: Any) -> str:
    plain = _plain(hint)
    if plain is str:
        return "TEXT"
    if plain in (int, float):
        return "NUMBER"
    if get_origin(plain) is None and hasattr(plain, "__members__"):
        return "WORD"  # the words depend on the type; the error for an unknown one lists them
    return "KEY=NUMBER,..." if get_origin(plain) is dict else "JSON"


def _value(flag: str, text: str, hint: Any) -> Any:
    """Return the text converted to the field's type."""
    plain = _plain(hint)
    raw: Any = text
    if get_origin(plain) is dict and not text.lstrip().startswith("{"):
        raw = dict(_pair(flag, part) for part in text.split(",") if part)
    elif get_origin(plain) is not None:
        try:
            raw = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"{flag}: not JSON: {error}", hint="put it in single quotes for the shell") from error
    try:
        msgspec.convert(raw, hint, strict=False)
        return msgspec.to_builtins(msgspec.convert(raw, plain, strict=False))
    except msgspec.ValidationError as error:
        raise ConfigError(f"{flag}: {error}", hint=_choices(plain)) from error


def _time(text: str) -> datetime:
    try:
        time: datetime = msgspec.convert(text, Time)
        return time
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"--time: {text!r} is not a time with a zone",
            hint="write 2026-01-31T12:00:00Z or 2026-01-31T13:00:00+01:00; the default is now",
        ) from error


def _pair(flag: str, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"{flag}: {text!r} is not key=number", hint=f"write {flag} high=2,low=5")
    return key.strip(), value.strip()


def _choices(plain: Any) -> str:
    return f"one of{_words(plain)[1:]}" if _words(plain) else "see `jelmon emit --help`"


def _words(plain: Any) -> str:
    """Return ``: success, failure, ...`` for a field with a closed set of values."""
    members = getattr(plain, "__members__", None) or getattr(next(iter(get_args(plain)), None), "__members__", None)
    return f": {', '.join(str(member) for member in members.values())}" if members else ""


def _missing_hint(message: str) -> str:
    missing = re.search(r"missing required field `(\w+)`", message)
    return f"add {_flag(missing[1])}" if missing else "see docs/events.md for the fields of this type"


def _data_of(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"--data: not JSON: {error}", hint="put it in single quotes for the shell") from error
    if not isinstance(fields, dict):
        raise ConfigError("--data: not a JSON object", hint="""write --data '{"pipeline": "review"}'""")
    return fields


def _needs_subject(kind: type[Event]) -> bool:
    return any(field.name == "subject" and field.required for field in msgspec.structs.fields(kind))
