"""The least there is to do: a row for an execution that starts, a change of it when it has ended, each durable."""

import asyncio
import time

import asyncpg
from lone import AT_ONCE, DSN, N, at_once, lone, tell

TABLE = """
CREATE TABLE run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, task text NOT NULL, state text NOT NULL,
    began timestamptz NOT NULL DEFAULT now(), ended timestamptz, result jsonb);
CREATE INDEX ON run (task, began)
"""
START = "INSERT INTO run (task, state) VALUES ($1, 'running') RETURNING id"
END = "UPDATE run SET state = 'completed', ended = now(), result = $2 WHERE id = $1"
WARM = 200


async def main() -> None:
    """Measures."""
    async with asyncpg.create_pool(DSN, min_size=AT_ONCE, max_size=AT_ONCE) as pool:
        await pool.execute(TABLE)

        async def one() -> None:
            async with pool.acquire() as connection:
                number = await connection.fetchval(START, "noop")
                await connection.execute(END, number, '{"ok": true}')

        async def done(_: None) -> bool:
            return True

        await at_once(WARM, one)
        lasted = await lone(one, done)
        cpu, began = time.process_time(), time.perf_counter()
        await at_once(N, one)
        tell(time.perf_counter() - began, time.process_time() - cpu, lasted)


asyncio.run(main())
