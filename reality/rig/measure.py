#!/usr/bin/env python3
"""Measures the cells of a *params.json file and writes their *runs.csv, as reality/ has them. README.md says how."""

import argparse
import csv
import json
import math
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
HEADS = (
    "cell,rep,class,n,n_ok,n_504,n_503,n_429,n_500,n_client_timeout,n_conn_error,ok_per_s,mean,p50,p90,p95,p99,"
    "attempts_mean,acq_mean,db_over_mean,hit_ratio,joined_frac,pool_util,cpu_ms_per_req,machine_busy,machine_steal,at"
).split(",")
ISOLATION = (
    "run,n,lat_mean,lat_p50,lat_p95,lat_p99,over_db_mean,over_db_p50,over_db_ceil_p50,acq_mean,acq_p50,http_mean,"
    "http_p50,throughput,cpu_ms_per_req,machine_busy,machine_steal,at"
).split(",")
NGINX = """user root;
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.err;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_timeout 600;
  keepalive_requests 10000000;
  upstream servers {{
    {method} {servers}
    keepalive 512;
    keepalive_requests 10000000;
    keepalive_timeout 600;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      proxy_pass http://servers;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_next_upstream off;
      proxy_read_timeout 120;
    }}
  }}
}}
"""
PGBOUNCER = """[databases]
{database} = host=127.0.0.1 port={pg} dbname={database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
"""


class Stack:
    """What serves a cell: nginx, processes, PgBouncer, Redis. PostgreSQL runs already."""

    def __init__(self, cell, given, folder):
        self.given, self.folder, self.running, self.pids = given, folder, [], []
        try:
            self.begin(cell, cell["server"])
        except BaseException:
            self.stop()
            raise

    def begin(self, cell, server):
        env = {name: str(value) for name, value in server.get("env", {}).items()}
        env.update(PG_USER=self.given.user, PG_DATABASE=self.given.database)
        env["PG_PORT"] = env["PG_DIRECT"] = str(self.given.pg)
        if "pgbouncer" in server:
            env["PG_PORT"] = str(self.pgbouncer(server["pgbouncer"]))
        if "redis" in server:
            env["REDIS_PORT"] = str(self.given.port + 95)
            words = ["redis-server", "--port", env["REDIS_PORT"], "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
            self.start("redis", words + [str(word) for word in server["redis"]], {})
            wait_for(self.given.port + 95)
        ports = [self.given.port + place for place in range(server.get("procs", 1))]
        for port in ports:
            self.process(cell, server, port, {**env, "PORT": str(port)})
        self.port = ports[0]
        if "nginx" in server:
            self.port = self.given.port + 80
            each = " ".join(f"server 127.0.0.1:{port} max_fails=0;" for port in ports)
            text = NGINX.format(folder=self.folder, method=server["nginx"], servers=each, port=self.port)
            write(f"{self.folder}/nginx.conf", text)
            self.start("nginx", ["nginx", "-c", f"{self.folder}/nginx.conf"], {})
            wait_for(self.port)

    def pgbouncer(self, settings):
        port = self.given.port + 90
        text = PGBOUNCER.format(database=self.given.database, pg=self.given.pg, port=port, folder=self.folder)
        text += "".join(f"{name} = {value}\n" for name, value in settings.items())
        write(f"{self.folder}/pgbouncer.ini", text)
        write(f"{self.folder}/users", f'"{self.given.user}" ""\n')
        as_other = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"] if os.getuid() == 0 else []
        self.start("pgbouncer", as_other + ["pgbouncer", f"{self.folder}/pgbouncer.ini"], {})
        wait_for(port)
        return port

    def process(self, cell, server, port, env):
        if server["kind"] == "fastapi":
            env["PYTHONPATH"] = HERE
            words = [self.given.python, "-m", "uvicorn", "app:app", "--port", str(port), "--no-access-log"]
            self.start("app", words + ["--log-level", "warning", "--loop", "uvloop", "--http", "httptools"], env)
            self.pids.append(str(self.running[-1].pid))
            return wait_for(port)
        env["WORKERS"] = str(server.get("workers", 1))
        if server.get("start") == "cold":
            env["COLD"] = "1"
        if paths(cell)[0].startswith("/tx"):
            env["PRIME_TX"] = env.get("STATEMENTS", "2")
        node = self.start("node", ["node", f"{HERE}/server.js"], env, subprocess.PIPE)
        line = node.stdout.readline().decode()
        if not line.startswith("up"):
            raise RuntimeError(f"the server does not start: {line}")
        self.pids += line.split()[1].split(",")

    def start(self, name, words, env, out=None):
        log = open(f"{self.folder}/{name}.log", "a")
        words = real_time(1, self.given) + words
        self.running.append(subprocess.Popen(words, env={**os.environ, **env}, stdout=out or log, stderr=log))
        return self.running[-1]

    def stop(self):
        for process in reversed(self.running):
            process.send_signal(signal.SIGTERM)
        for process in self.running:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def real_time(priority, given):
    return [] if given.ordinary else ["chrt", "-r", str(priority)]


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def wait_for(port):
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nobody listens at port {port}")


def paths(cell):
    limited = "RATE_LIMIT" in cell["server"].get("env", {})
    more = lambda it: f"&client={it['name']}" if limited else ""
    return [it["path"] + more(it) for it in cell["load"]["classes"]]


def send(cell, load, port, until, warm, seed, out, pids, given):
    laws = [it["svc"] for it in load["classes"]]
    each = zip(load["classes"], load.get("paths") or paths(cell), laws)
    classes = ";".join(f"{it['weight']},{path},{law['dist']},{law['mean']},{law.get('cv', 0)}" for it, path, law in each)
    words = real_time(2, given) + [given.generator, "--port", str(port), "--T", str(until), "--warm", str(warm)]
    words += ["--seed", str(seed), "--classes", classes, "--out", out, "--pids", ",".join(pids), "--spare", str(given.spare)]
    words += ["--fresh", "1" if load.get("fresh_conn") else "0"]
    if "zipf_n" in load:
        words += ["--zipf", f"{load['zipf_n']}:{load['zipf_s']}"]
    if load["mode"] == "open":
        words += ["--segments", ";".join(f"{at}:{rate}" for at, rate in load["segments"])]
    else:
        words += ["--users", str(load["users"]), "--think", str(load["think_ms"])]
    subprocess.run(words, check=True, timeout=until + 200)


def warmed(cell, stack, given):
    """1,250 light requests, or fewer before a guard, by the way that the run takes; what they left in Redis is thrown away."""
    server = cell["server"]
    rate = 120 if "GUARD" in server.get("env", {}) else 250
    load = {"mode": "open", "segments": [[0, rate]], "fresh_conn": cell["load"].get("fresh_conn", False)}
    load["classes"] = [{"weight": 1, "svc": {"dist": "fixed", "mean": 3}}]
    special = server["kind"] != "fastapi" and (server.get("start") == "cold" or paths(cell)[0].startswith("/tx"))
    load["paths"] = ["/prime?ms={ms}" if special else "/db?ms={ms}"]
    if "redis" in server:
        load.update(paths=["/item?k=p{key}&ms={ms}"], zipf_n=1000000, zipf_s=0.1)
    send(cell, load, stack.port, 5, 1, 7, "/dev/null", [], given)
    if "redis" in server:
        subprocess.run(["redis-cli", "-p", str(given.port + 95), "FLUSHALL"], check=True, stdout=subprocess.DEVNULL)
    time.sleep(0.5)


def run(cell, place, given):
    """One run: raw rows in the folder, unless they are there already."""
    raw = f"{given.raw}/{cell['id']}.{place}.csv"
    if os.path.exists(raw):
        return
    folder = f"{given.raw}/programs"
    os.makedirs(folder, exist_ok=True)
    stack = Stack(cell, given, folder)
    try:
        warmed(cell, stack, given)
        seed = cell["seeds"][place - 1]
        send(cell, cell["load"], stack.port, cell["T"], cell["warm"], seed, raw + ".part", stack.pids, given)
        write(raw + ".meta", json.dumps({"pids": stack.pids, "at": time.strftime("%Y-%m-%d %H:%M:%S")}))
        os.rename(raw + ".part", raw)
    finally:
        stack.stop()


def quantile(ordered, level):
    if not ordered:
        return ""
    place = level * (len(ordered) - 1)
    low = int(place)
    return ordered[low] + (place - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])


def middle(values, of=statistics.fmean):
    return of(values) if values else ""


def read(raw):
    lines = open(raw).read().splitlines()
    number = lambda text: float(text) if text else None
    names = ("class", "at", "start", "end", "status", "ms", "acq", "db", "t", "kind", "key")
    rows = [dict(zip(names, map(number, line.split(",")))) for line in lines[3:]]
    snapshots = []
    for line in lines[1:3]:
        machine, *each = line[1:].split("|")
        snapshots.append(([int(it) for it in machine.split()[1:9]], {p: int(ns) / 1e6 for p, ns in (it.split() for it in each)}))
    return float(lines[0][1:]), snapshots, sorted(rows, key=lambda row: row["at"])


def said(cell, place, given):
    """The rows of a run's outcome: of all its requests, and of each class."""
    raw = f"{given.raw}/{cell['id']}.{place}.csv"
    epoch, ((ticks, cpu), (ticks_after, cpu_after)), rows = read(raw)
    spent = [after - before for before, after in zip(ticks, ticks_after)]
    meta = json.load(open(raw + ".meta"))
    warm, until, server = cell["warm"], cell["T"], cell["server"]
    classes = [("all", lambda row: True)]
    if "zipf_n" in cell["load"]:
        classes += [(name, lambda row, kind=kind: row["kind"] == kind) for kind, name in ((1, "hit"), (2, "miss"), (3, "joined"))]
    elif len(cell["load"]["classes"]) > 1:
        classes += [(it["name"], lambda row, place=place: row["class"] == place) for place, it in enumerate(cell["load"]["classes"])]
    for name, belongs in classes:
        own = [row for row in rows if belongs(row)]
        sent = [row for row in own if warm <= row["at"] < until]
        answered = [row for row in sent if row["status"] == 200]
        if not sent:
            continue
        latencies = sorted(1e3 * (row["end"] - row["at"]) for row in answered)
        held = [row for row in answered if row["db"] is not None]
        statements = int(server.get("env", {}).get("STATEMENTS", 2)) if paths(cell)[0].startswith("/tx") else 1
        over = [row["db"] - statements * row["ms"] for row in held]
        count = lambda status: sum(row["status"] == status for row in sent)
        found = {"cell": cell["id"], "rep": place, "class": name, "n": len(sent), "n_ok": len(answered), "attempts_mean": 1}
        found.update({f"n_{status}": count(status) for status in (504, 503, 429, 500)}, n_client_timeout=count(1), n_conn_error=count(0))
        found.update(mean=middle(latencies), **{f"p{it}": quantile(latencies, it / 100) for it in (50, 90, 95, 99)})
        found["ok_per_s"] = sum(row["status"] == 200 and warm <= row["end"] < until for row in own) / (until - warm)
        found.update(acq_mean=middle([row["acq"] for row in held]), db_over_mean=middle(over))
        found.update(machine_busy=1 - (spent[3] + spent[4]) / sum(spent), machine_steal=spent[7] / sum(spent), at=meta["at"])
        if name == "all":
            found["cpu_ms_per_req"] = sum(cpu_after[pid] - cpu[pid] for pid in meta["pids"]) / len(sent)
            found["pool_util"] = use_of_pools(server, own, epoch, warm, until)
            if "zipf_n" in cell["load"]:
                found["hit_ratio"] = sum(row["kind"] == 1 for row in answered) / max(1, len(answered))
                found["joined_frac"] = sum(row["kind"] == 3 for row in answered) / max(1, len(answered))
        found["raw"] = (latencies, over, [row["db"] - math.ceil(row["ms"] - 1e-9) for row in held], answered)
        yield found


def use_of_pools(server, rows, epoch, warm, until):
    env = server.get("env", {})
    each = env.get("PG_MAX") or env.get("POOL_SIZE", 5) + env.get("MAX_OVERFLOW", 10)
    places = each * server.get("procs", 1) * server.get("workers", 1)
    lent = 0.0
    for row in rows:
        if row["db"] is not None and row["t"] is not None:
            end = row["t"] / 1e3 - epoch
            lent += max(0.0, min(end, until) - max(end - row["db"] / 1e3, warm))
    return lent / (until - warm) / places


def isolated(found):
    latencies, over, rounded, answered = found["raw"]
    acquired = [row["acq"] for row in answered if row["acq"] is not None]
    rest = [1e3 * (row["end"] - row["at"]) - (row["acq"] or 0) - (row["db"] or 0) for row in answered]
    row = {"run": f"{found['cell']}.{found['rep']}", "n": found["n"], "throughput": found["ok_per_s"]}
    row.update(lat_mean=found["mean"], lat_p50=found["p50"], lat_p95=found["p95"], lat_p99=found["p99"])
    row.update(over_db_mean=found["db_over_mean"], over_db_p50=middle(over, statistics.median))
    row.update(over_db_ceil_p50=middle(rounded, statistics.median), acq_mean=middle(acquired))
    row.update(acq_p50=middle(acquired, statistics.median), http_mean=middle(rest), http_p50=middle(rest, statistics.median))
    return {**row, **{name: found[name] for name in ("cpu_ms_per_req", "machine_busy", "machine_steal", "at")}}


def shown(value):
    return f"{value:.4f}" if isinstance(value, float) else value


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("params", help="the cells: a file whose name ends in params.json")
    parser.add_argument("--only", default="", help="cells whose names begin so")
    parser.add_argument("--raw", default="raw", help="the folder of each run's requests; runs that are there are not made again")
    parser.add_argument("--isolation", action="store_true", help="writes isolation.csv in place of a runs.csv")
    parser.add_argument("--pg", type=int, default=5432, help="the port of PostgreSQL, which lets --user in without a password")
    parser.add_argument("--user", default="bench")
    parser.add_argument("--database", default="bench")
    parser.add_argument("--port", type=int, default=8300, help="the first port of the servers; those to 99 more are used")
    parser.add_argument("--python", default=sys.executable, help="the Python that has FastAPI, uvicorn, SQLAlchemy and asyncpg")
    parser.add_argument("--generator", default=f"{HERE}/generator")
    parser.add_argument("--spare", type=int, default=64, help="connections of the generator that are open from the start")
    parser.add_argument("--ordinary", action="store_true", help="not in the real-time class, which only root may give")
    given = parser.parse_args()
    given.raw = os.path.abspath(given.raw)
    os.makedirs(given.raw, exist_ok=True)
    if not shutil.which(given.generator):
        parser.error(f"{given.generator} is missing: rustc --edition 2024 -O -o generator generator.rs")
    cells = [it for it in json.load(open(given.params)) if it["id"].startswith(given.only)]
    if any("retry" in it["load"] for it in cells):
        parser.error("the generator does not try again: leave out cells with `retry`")
    # Each cell once before any is repeated: what changes meanwhile meets all of them.
    for place in range(1, 1 + max(len(it["seeds"]) for it in cells)):
        for cell in (it for it in cells if place <= len(it["seeds"])):
            run(cell, place, given)
            print(cell["id"], place, flush=True)
    found = [row for cell in cells for place in range(1, 1 + len(cell["seeds"])) for row in said(cell, place, given)]
    heads, path = HEADS, given.params.removesuffix("params.json") + "runs.csv"
    if given.isolation:
        found = [isolated(row) for row in found if row["class"] == "all"]
        heads, path = ISOLATION, os.path.join(os.path.dirname(given.params), "isolation.csv")
    with open(path, "w", newline="") as file:
        table = csv.DictWriter(file, heads, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows({name: shown(value) for name, value in row.items()} for row in found)
    print(f"{path}: {len(found)} rows")


if __name__ == "__main__":
    main()
