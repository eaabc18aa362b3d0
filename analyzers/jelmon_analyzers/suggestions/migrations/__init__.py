"""The table of recommendations, as numbered SQL files."""

from jelmon.database.schema import Schema

SCHEMA = Schema(
    component="analyzer",
    package=__name__,
    title="the table of recommendations",
    option="--recommendations.url",
)
