"""Cards and stages of a pipeline, and what the pipeline declares about itself."""

from jelmon.catalogue.metric import OUTCOMES, PIPELINE, STAGE, WORK_BUCKETS, Counter, Gauge, Histogram

# --- pipeline: cards ---
CARDS_QUEUED = Counter(name="jelmore_cards_queued_total", help="Cards that arrived in the pipeline.", labels=PIPELINE)
CARDS_STARTED = Counter(name="jelmore_cards_started_total", help="Cards that were started.", labels=PIPELINE)
CARDS_FINISHED = Counter(
    name="jelmore_cards_finished_total",
    help="Cards that were finished, by outcome.",
    labels=("pipeline", "outcome"),
    closed=OUTCOMES,
)
CARDS_WAITING = Gauge(
    name="jelmore_cards_waiting", help="Cards that have arrived and have not been started.", labels=PIPELINE
)
CARDS_IN_PROGRESS = Gauge(name="jelmore_cards_in_progress", help="Cards that are in progress.", labels=PIPELINE)
CARD_PROCESSING = Histogram(
    name="jelmore_card_processing_seconds",
    help="Processing time of a card, from start to finish.",
    unit="seconds",
    labels=("pipeline", "outcome"),
    buckets=WORK_BUCKETS,
)
CARD_WAIT = Histogram(
    name="jelmore_card_wait_seconds",
    help="Waiting time of a card, from arrival to start.",
    unit="seconds",
    labels=PIPELINE,
    buckets=WORK_BUCKETS,
)
LAST_ACTIVITY = Gauge(
    name="jelmore_pipeline_last_activity_timestamp_seconds",
    help="Time of the latest start, finish or retry of a card or stage; arrivals do not count as activity.",
    unit="seconds",
    labels=PIPELINE,
)

# --- pipeline: what it declares about itself ---
STALL_LIMIT = Gauge(
    name="jelmore_pipeline_stall_limit_seconds",
    help="Declared time without activity after which the pipeline is considered stalled.",
    unit="seconds",
    labels=PIPELINE,
)
CARD_TARGET = Gauge(
    name="jelmore_pipeline_card_target_seconds",
    help="Declared target for the processing time of a card.",
    unit="seconds",
    labels=PIPELINE,
)
STAGE_POSITION = Gauge(
    name="jelmore_stage_position", help="Declared position of the stage in its pipeline, starting at 1.", labels=STAGE
)
STAGE_WORKERS = Gauge(
    name="jelmore_stage_workers", help="Declared number of cards that the stage can process concurrently.", labels=STAGE
)
STAGE_QUEUE_CAPACITY = Gauge(
    name="jelmore_stage_queue_capacity", help="Declared capacity of the stage's queue, in cards.", labels=STAGE
)
STAGE_TIME_LIMIT = Gauge(
    name="jelmore_stage_time_limit_seconds", help="Declared time limit of a stage run.", unit="seconds", labels=STAGE
)

# --- pipeline: stages ---
STAGE_RUNS_STARTED = Counter(
    name="jelmore_stage_runs_started_total", help="Stage runs (attempts) that started.", labels=STAGE
)
STAGE_RUNS_FINISHED = Counter(
    name="jelmore_stage_runs_finished_total",
    help="Stage runs (attempts) that finished, by outcome.",
    labels=("pipeline", "stage", "outcome"),
    closed=OUTCOMES,
)
STAGE_RETRIES = Counter(
    name="jelmore_stage_retries_total",
    help="Second and later attempts of cards at a stage; each counts once.",
    labels=STAGE,
)
STAGE_TRANSITIONS = Counter(
    name="jelmore_stage_transitions_total",
    help="Cards that moved from one stage to another.",
    labels=("pipeline", "from_stage", "to_stage"),
)
STAGE_QUEUE_TIME = Histogram(
    name="jelmore_stage_queue_seconds",
    help="Waiting time of a card for a stage, from queued to started.",
    unit="seconds",
    labels=STAGE,
    buckets=WORK_BUCKETS,
)
STAGE_RUN_TIME = Histogram(
    name="jelmore_stage_run_seconds",
    help="Duration of a stage run, from started to finished.",
    unit="seconds",
    labels=("pipeline", "stage", "outcome"),
    buckets=WORK_BUCKETS,
)
STAGE_IN_PROGRESS = Gauge(name="jelmore_stage_runs_in_progress", help="Stage runs that are in progress.", labels=STAGE)
STAGE_QUEUE_DEPTH = Gauge(name="jelmore_stage_queue_depth", help="Cards that are waiting for the stage.", labels=STAGE)
STAGE_HELD_UP = Gauge(
    name="jelmore_stage_held_up",
    help="Cards that are blocked: finished in the stage, but the next stage's queue is full.",
    labels=STAGE,
)
STAGE_OLDEST_WAITING = Gauge(
    name="jelmore_stage_oldest_waiting_timestamp_seconds",
    help="Time at which the longest-waiting card was queued for the stage; absent if no card is waiting.",
    unit="seconds",
    labels=STAGE,
)
STAGE_OLDEST_RUNNING = Gauge(
    name="jelmore_stage_oldest_running_timestamp_seconds",
    help="Start time of the longest-running stage run; absent if none is in progress.",
    unit="seconds",
    labels=STAGE,
)
