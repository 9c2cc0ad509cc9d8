// The Node.js server that is measured: Express, a pool of node-postgres, and by its environment a guard, a limit for
// each client, a cache in Redis, workers of a cluster. reality/README.md says what each setting does.
'use strict';
const cluster = require('cluster');
const express = require('express');
const { Pool } = require('pg');
const { performance } = require('perf_hooks');

const setting = (name, otherwise) => (process.env[name] === undefined ? otherwise : Number(process.env[name]));
const workers = setting('WORKERS', 1);

if (workers > 1 && cluster.isPrimary) {
  let up = 0;
  for (let worker = 0; worker < workers; worker++) cluster.fork();
  cluster.on('message', (_, message) => {
    if (message !== 'up' || ++up < workers) return;
    const each = Object.values(cluster.workers).map((worker) => worker.process.pid);
    console.log(`up ${[process.pid, ...each].join(',')}`);
  });
} else {
  serve().catch((error) => {
    console.log(`failed: ${error}`);
    process.exit(1);
  });
}

function pool_to(port, more) {
  const pool = new Pool({
    host: '127.0.0.1',
    port,
    user: process.env.PG_USER || 'bench',
    database: process.env.PG_DATABASE || 'bench',
    max: setting('PG_MAX', 10),
    idleTimeoutMillis: setting('PG_IDLE', 0),
    connectionTimeoutMillis: setting('PG_CONN_TIMEOUT', 0),
    ...more,
  });
  pool.on('error', () => {});
  return pool;
}

async function serve() {
  const pool = pool_to(setting('PG_PORT', 5432));
  // A run that starts cold is made warm through other connections.
  const cold = process.env.COLD === '1';
  const warm = cold ? pool_to(setting('PG_DIRECT', 5432), { idleTimeoutMillis: 0, connectionTimeoutMillis: 0 }) : pool;
  const app = express();
  guard(app, pool);
  limit(app);
  app.get('/db', (request, response) => sleep(pool, request, response, 0));
  app.get('/tx', (request, response) => sleep(pool, request, response, setting('STATEMENTS', 2)));
  app.get('/prime', (request, response) => sleep(warm, request, response, setting('PRIME_TX', 0)));
  app.get('/noop', (_, response) => response.json({ ok: 1 }));
  app.get('/cpu', (request, response) => {
    const end = performance.now() + Number(request.query.ms);
    while (performance.now() < end);
    response.json({ ok: 1 });
  });
  if (process.env.REDIS_PORT) cache(app, pool);
  sample(pool);
  await open_all(warm, setting('PG_MAX', 10));
  const server = app.listen({ port: setting('PORT', 8300), host: '127.0.0.1', backlog: 511 }, () => {
    if (process.send) process.send('up');
    else console.log(`up ${process.pid}`);
  });
  server.keepAliveTimeout = 600e3;
}

// Every connection is opened and used once, all at the same time.
async function open_all(pool, count) {
  const clients = await Promise.all(Array.from({ length: count }, () => pool.connect()));
  await Promise.all(clients.map((client) => client.query('SELECT pg_sleep($1)', [count <= 50 ? 0.3 : 0.005])));
  clients.forEach((client) => client.release());
}

// What a server that watches its pool does.
function sample(pool) {
  let busy = 0;
  let waiting = 0;
  setInterval(() => {
    busy += pool.totalCount - pool.idleCount;
    waiting += pool.waitingCount;
  }, 10);
}

async function hold(pool, ms, statements) {
  const asked = performance.now();
  const client = await pool.connect();
  const held = performance.now();
  let failed;
  try {
    if (statements) {
      await client.query('BEGIN');
      for (let done = 0; done < statements; done++) await client.query('SELECT pg_sleep($1)', [ms / 1000]);
      await client.query('COMMIT');
    } else {
      await client.query('SELECT pg_sleep($1)', [ms / 1000]);
    }
  } catch (error) {
    failed = error;
  }
  const done = performance.now();
  client.release(failed);
  if (failed) throw failed;
  const digits = (value) => Number(value.toFixed(3));
  return { acq: digits(held - asked), db: digits(done - held), t: digits(performance.timeOrigin + done) };
}

async function sleep(pool, request, response, statements) {
  try {
    response.json(await hold(pool, Number(request.query.ms), statements));
  } catch (error) {
    const message = String(error.message);
    const waited = message.startsWith('timeout exceeded') || message.includes('query_wait_timeout');
    response.status(waited ? 504 : 500).json({ error: message });
  }
}

function guard(app, pool) {
  const from = setting('GUARD', 0);
  if (!from) return;
  app.use((_, response, next) => {
    const share = (pool.totalCount - pool.idleCount + pool.waitingCount) / setting('PG_MAX', 10);
    if (share >= from) return response.status(503).json({ error: 'busy' });
    next();
  });
}

function limit(app) {
  if (!setting('RATE_LIMIT', 0)) return;
  const { rateLimit } = require('express-rate-limit');
  app.use(rateLimit({
    limit: setting('RATE_LIMIT', 0),
    windowMs: setting('RATE_WINDOW_MS', 60000),
    keyGenerator: (request) => String(request.query.client || Math.random()),
    validate: false,
  }));
}

function cache(app, pool) {
  const Redis = require('ioredis');
  const redis = new Redis({ host: '127.0.0.1', port: setting('REDIS_PORT', 6379) });
  const value = 'x'.repeat(setting('VALUE_BYTES', 100));
  const ttl = setting('CACHE_TTL_MS', 0);
  const flights = setting('SINGLEFLIGHT', 0) ? new Map() : null;
  const load = async (key, ms) => {
    const said = await hold(pool, ms, 0);
    await (ttl ? redis.set(key, value, 'PX', ttl) : redis.set(key, value));
    return said;
  };
  app.get('/item', async (request, response) => {
    try {
      const key = `item:${request.query.k}`;
      const asked = performance.now();
      if ((await redis.get(key)) !== null) {
        return response.json({ kind: 1, acq: Number((performance.now() - asked).toFixed(3)) });
      }
      let flight = flights && flights.get(key);
      if (flight) {
        await flight;
        return response.json({ kind: 3 });
      }
      flight = load(key, Number(request.query.ms));
      if (flights) {
        const land = () => flights.delete(key);
        flights.set(key, flight);
        flight.then(land, land);
      }
      response.json({ kind: 2, ...(await flight) });
    } catch (error) {
      response.status(500).json({ error: String(error.message) });
    }
  });
}
