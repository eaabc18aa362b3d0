"""Whether declarations still say what a service exposes."""

from collections.abc import Iterable, Iterator

from jelmon_generators.metrics.declaration import Declaration


def differences(declared: Iterable[Declaration], exposed: Iterable[Declaration]) -> Iterator[str]:
    """Yield a line for each declaration that is wrong, and for each metric that is not exposed.

    A label that no series has at present is fine: it may belong to something that has not happened yet.
    """
    now = {one.name: one for one in exposed}
    for one in declared:
        found = now.get(one.name)
        if found is None:
            yield f"{one.name}: not exposed"
        elif found.type != one.type:
            yield f"{one.name}: declared as {one.type}, exposed as {found.type}"
        else:
            yield from _details(one, found)


def _details(declared: Declaration, found: Declaration) -> Iterator[str]:
    for label in found.labels:
        if label not in declared.labels:
            yield f"{declared.name}: exposed with the label {label!r}, which is not declared"
    values = dict(found.values)
    for label, allowed in declared.values:
        for value in values.get(label, ()):
            if value not in allowed:
                yield f"{declared.name}: {label}={value!r} is not among the declared values"
    if found.buckets and declared.buckets and found.buckets != declared.buckets:
        yield f"{declared.name}: declared and exposed buckets differ"


def undeclared(declared: Iterable[Declaration], exposed: Iterable[Declaration]) -> list[str]:
    """Return the names of metrics that are exposed and not declared."""
    names = {one.name for one in declared}
    return sorted(one.name for one in exposed if one.name not in names)
