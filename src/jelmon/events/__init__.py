"""The event vocabulary: frozen structs, one module per noun, and the only place that knows field names on the wire.

Every event is a CloudEvents 1.0 JSON object. ``type`` is ``jelmore.<noun>.<verb>``, ``subject`` is the id of the thing
that the event concerns (for cards and stages the card's), ``time`` is when it happened by the producer's clock. Events
with the same ``source`` and ``id`` are the same event. Unknown attributes and data fields are ignored, so that a newer
producer works with an older consumer.
"""

from jelmon.events.actions import *
from jelmon.events.calls import *
from jelmon.events.cards import *
from jelmon.events.encoding import *
from jelmon.events.envelope import *
from jelmon.events.fields import *
from jelmon.events.parsing import *
from jelmon.events.pipelines import *
from jelmon.events.quality import *
from jelmon.events.sessions import *
from jelmon.events.stages import *
from jelmon.events.vocabulary import *
from jelmon.events.work import *
