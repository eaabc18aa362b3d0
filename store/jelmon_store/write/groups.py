"""Write groups: how several receivers write each sample once without a unique key on the samples.

A series belongs to a group, all series of one target to the same. A receiver that writes locks the rows of its groups
in ``jelmore.write_groups`` until its transaction ends, and puts itself there as the last writer. So while a row names
this receiver, nobody else has written the series of the group since, and its watermarks hold. Where the row names
another receiver, the samples are compared with those stored (`exact`).

Groups that go back and forth between receivers stay exact, and slow: let each Prometheus write to one receiver, and
to another one only when that is down.
"""

import numpy as np
from numpy.typing import NDArray
from psycopg.rows import tuple_row

from jelmon.database.postgres import Connection


async def claim(connection: Connection, groups: NDArray[np.int64], receiver: int) -> NDArray[np.int64]:
    """Lock groups for this transaction; return those that another receiver wrote last, or may have written."""
    wanted = groups.tolist()
    held = await _lock(connection, wanted)
    missing = [group for group in wanted if group not in held]
    if missing:
        cursor = connection.cursor(row_factory=tuple_row)
        await cursor.execute(
            "INSERT INTO jelmore.write_groups (group_id, receiver) SELECT unnest(%s::int[]), %s "
            "ON CONFLICT (group_id) DO NOTHING RETURNING group_id",
            (missing, receiver),
        )
        made = {group for (group,) in await cursor.fetchall()}
        held |= dict.fromkeys(made, receiver)
        others = [group for group in missing if group not in made]
        if others:
            held |= await _lock(connection, others)
    lost = [group for group, last in held.items() if last != receiver]
    if lost:
        await connection.execute(
            "UPDATE jelmore.write_groups SET receiver = %s WHERE group_id = ANY(%s::int[])", (receiver, lost)
        )
    return np.array(lost, np.int64)


async def _lock(connection: Connection, groups: list[int]) -> dict[int, int]:
    """Lock the rows of groups in the same order as everybody; return the receivers they name."""
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute(
        "SELECT group_id, receiver FROM jelmore.write_groups WHERE group_id = ANY(%s::int[]) ORDER BY group_id "
        "FOR NO KEY UPDATE",
        (groups,),
    )
    return dict(await cursor.fetchall())
