"""procrastinate: jobs deferred in one batch, and worked off by a worker in this process."""

import asyncio
import time

import procrastinate
import psycopg
from lone import AT_ONCE, DSN, N, lone, tell

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=DSN, max_size=AT_ONCE + 2))
DONE = "SELECT status = 'succeeded' FROM procrastinate_jobs WHERE id = %s"
ALL_DONE = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"


@app.task
async def noop() -> None:
    """Nothing."""


async def main() -> None:
    """Measures."""
    async with app.open_async(), await psycopg.AsyncConnection.connect(DSN, autocommit=True) as eye:
        await app.schema_manager.apply_schema_async()

        async def is_done(job: int) -> bool:
            return bool((await (await eye.execute(DONE, (job,))).fetchone() or (False,))[0])

        cpu, began = time.process_time(), time.perf_counter()
        await noop.batch_defer_async(*({} for _ in range(N)))
        await app.run_worker_async(wait=False, concurrency=AT_ONCE, install_signal_handlers=False)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        assert (await (await eye.execute(ALL_DONE)).fetchone()) == (N,)
        worker = asyncio.create_task(app.run_worker_async(concurrency=AT_ONCE, install_signal_handlers=False))
        await asyncio.sleep(0.5)
        lasted = await lone(noop.defer_async, is_done)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        tell(seconds, cpu, lasted)


asyncio.run(main())
