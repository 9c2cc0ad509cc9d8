"""The FastAPI server that is measured: SQLAlchemy's QueuePool over asyncpg."""

import os
import time

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import create_async_engine

E = os.environ
engine = create_async_engine(
    f"postgresql+asyncpg://{E.get('PG_USER', 'bench')}@127.0.0.1:{E.get('PG_PORT', '5432')}/{E.get('PG_DATABASE', 'bench')}",
    pool_size=int(E.get("POOL_SIZE", 5)),
    max_overflow=int(E.get("MAX_OVERFLOW", 10)),
    pool_timeout=float(E.get("POOL_TIMEOUT", 30)),
)
app = FastAPI()
STATEMENT = text("SELECT pg_sleep(:s)")


@app.get("/noop")
async def noop():
    return {"ok": 1}


@app.get("/db")
async def db(ms: float):
    asked = time.perf_counter()
    try:
        async with engine.connect() as connection:
            held = time.perf_counter()
            await connection.execute(STATEMENT, {"s": ms / 1000})
        done = time.perf_counter()
    except PoolTimeout:
        return JSONResponse({"error": "timeout"}, status_code=504)
    return {"acq": (held - asked) * 1e3, "db": (done - held) * 1e3, "t": time.time() * 1e3}
