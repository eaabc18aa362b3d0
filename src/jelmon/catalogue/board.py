"""The board."""

from jelmon.catalogue.metric import CALL_BUCKETS, CYCLE_BUCKETS, Counter, Gauge, Histogram, Service

BOARD_INFO = Gauge(
    name="jelmore_board_info",
    help="Always 1; version and configuration are in the labels.",
    labels=("version", "lines"),
    service=Service.BOARD,
)
BOARD_SOURCE_UP = Gauge(
    name="jelmore_board_source_up",
    help="1 if the source of the board's pages answered its last request, else 0.",
    labels=("source",),
    service=Service.BOARD,
)
BOARD_COLLECTION = Histogram(
    name="jelmore_board_collection_seconds",
    help="Duration of reading all sources once.",
    unit="seconds",
    buckets=CYCLE_BUCKETS,
    service=Service.BOARD,
)
BOARD_PAGES = Histogram(
    name="jelmore_board_page_seconds",
    help="Duration of rendering a page.",
    unit="seconds",
    labels=("page",),
    buckets=CALL_BUCKETS,
    service=Service.BOARD,
)
BOARD_VIEWERS = Gauge(name="jelmore_board_viewers", help="Open pages that are updated live.", service=Service.BOARD)
BOARD_SERIES_DROPPED = Gauge(
    name="jelmore_board_series_dropped",
    help="Series that an embedded board does not keep because of its limit.",
    service=Service.BOARD,
)
BOARD_ACTIONS = Counter(
    name="jelmore_board_actions_total",
    help="Actions requested on the board, by outcome.",
    labels=("action", "outcome"),
    closed={"action": ("silence", "acknowledge", "expire", "test"), "outcome": ("success", "refused", "failure")},
    service=Service.BOARD,
)
BOARD_WEB_CONFIG_RELOADED = Gauge(
    name="jelmore_board_web_config_last_reload_successful",
    help="1 if the web config in force is that in its file, 0 if the file is invalid and the previous one is used.",
    service=Service.BOARD,
)
