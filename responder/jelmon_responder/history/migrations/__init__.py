"""The tables of the alert history, as numbered SQL files."""

from jelmon.database.schema import Schema

SCHEMA = Schema(
    component="responder",
    package=__name__,
    title="the alert history",
    option="--history.url",
    uses_user_version=True,
)
