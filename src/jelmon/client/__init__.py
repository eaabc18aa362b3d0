"""What a producer of events imports.

::

    from jelmon.client import Card, Publisher

    card = Card("4711", pipeline="review", source="/ci/runner-7")
    async with Publisher("nats://127.0.0.1:4222") as publisher:
        async with publisher.card(card):  # publishes started, and finished with the outcome
            async with publisher.stage(card, "test_execution", worker="w1"):
                ...  # the work

`SyncPublisher` is the same without ``async`` and ``await``. For ``await publisher.publish(event)``, `jelmon.events`
has the event classes.
"""

from jelmon.client.asynchronous import Publisher
from jelmon.client.cards import Card, Run
from jelmon.client.delivery import Published, Summary, TooLargeError
from jelmon.client.synchronous import SyncPublisher

__all__ = ["Card", "Published", "Publisher", "Run", "Summary", "SyncPublisher", "TooLargeError"]
