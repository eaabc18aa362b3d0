"""The checks of the compiler: a stable id each, for messages, ``docs/checks.md`` and excuses in the YAML."""

from typing import NamedTuple, Protocol


class Reportable(Protocol):
    """A place in a file at which a problem can be reported."""

    def refuse(self, message: str, *, hint: str = "", check: str = "") -> None:
        """Record a problem."""


class Check(NamedTuple):
    """One family of checks. An id is never given to another family, even when the first one is removed."""

    id: str
    name: str
    excusable: bool = True  # without this check, what is compiled is still well defined

    def report(self, place: Reportable, message: str, *, hint: str = "") -> None:
        """Record a problem that this check found."""
        place.refuse(message, hint=hint, check=self.id)


YAML = Check("JM001", "yaml", excusable=False)
EXCUSE = Check("JM002", "excuse", excusable=False)
NAME = Check("JM003", "name/format", excusable=False)
DUPLICATE = Check("JM004", "name/duplicate", excusable=False)
REFERENCE = Check("JM005", "name/reference", excusable=False)
SETTINGS = Check("JM006", "bundle/settings", excusable=False)
FILES = Check("JM007", "bundle/files", excusable=False)

SYNTAX = Check("JM010", "promql/syntax", excusable=False)
SERIES = Check("JM011", "promql/series", excusable=False)
COUNTER = Check("JM012", "promql/counter")
RATE = Check("JM013", "promql/rate")
RETENTION = Check("JM014", "promql/retention")
MATCHING = Check("JM015", "promql/matching")
FEATURE = Check("JM016", "promql/feature")
NAN = Check("JM017", "promql/nan")
REGEXP = Check("JM018", "promql/regexp")
SELECTOR = Check("JM019", "promql/selector", excusable=False)
LABEL = Check("JM020", "promql/label")
REPEATED = Check("JM021", "signal/repeated")
SHAPE = Check("JM022", "signal/shape", excusable=False)
VALUE = Check("JM023", "signal/value", excusable=False)
METRIC = Check("JM024", "metric/declaration", excusable=False)

CONDITION = Check("JM030", "condition/shape", excusable=False)
RANGE = Check("JM031", "condition/range")
COMMON_LABEL = Check("JM032", "condition/labels", excusable=False)
TRUTH = Check("JM033", "condition/truth")
FRAGILE = Check("JM034", "condition/fragile")
DURATION = Check("JM035", "alert/duration")
ABSENCE = Check("JM036", "alert/absence")
BASELINE = Check("JM037", "alert/baseline", excusable=False)
TEXT = Check("JM038", "alert/text", excusable=False)
ACTION = Check("JM039", "alert/action")
RUNBOOK = Check("JM040", "alert/runbook")
INHIBITION = Check("JM041", "alert/inhibition", excusable=False)
PANEL = Check("JM042", "alert/panel", excusable=False)

GROUPING = Check("JM050", "route/grouping")
REACH = Check("JM051", "route/reach")
ESCALATION = Check("JM052", "escalation/levels", excusable=False)
UNUSED = Check("JM053", "escalation/unused")
CHANNEL = Check("JM054", "channel/options", excusable=False)
TARGET = Check("JM055", "channel/target", excusable=False)
WINDOW = Check("JM056", "window/shape", excusable=False)
LONG_WINDOW = Check("JM057", "window/length")
WINDOW_LABEL = Check("JM058", "window/label")
TIMING = Check("JM059", "route/timing")
OBJECTIVE = Check("JM060", "objective", excusable=False)

CHECKS = {check.id: check for check in list(globals().values()) if isinstance(check, Check)}
"""Every check by its id."""
