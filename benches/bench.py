"""scripts/bench: starts everything, runs the rounds, checks the ledgers and hands the figures to bench_report.

Rounds are interleaved: in each, every target is measured once, so that what else happens on the machine meets all."""

import argparse
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bench_report
from bench_processes import (OTHER_CORE, PROXY_CORE, Process, free_ports, get, start_nginx, start_postgres, start_redis,
                             wait_until)
from bench_tollgate import DRAIN_SECONDS, Servers, Tollgate, write_tokens

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
CONNECTIONS = 64
# At 200 a second a request comes every 5 ms, which is also how long the journal gathers ENDs: the others are beside that beat.
RATES = (173, 200, 230)
STARTS = 5
# What wrk sends: the model, and whose tokens (files that write_tokens makes).
SHAPES = {"json": ("claude-bench", "users"), "stream": ("claude-bench-stream", "users")}
# The same of one user, and of the 500 members of one team whose pool is a third limit; what is refused: a quota that is
# spent, a token that nobody signed. Of tollgate only: to the others they are requests like any other.
HOT = {"hot user": ("claude-bench", "one user"), "hot team": ("claude-bench", "one team")}
REFUSED = {"429": ("claude-bench", "spent"), "401": ("claude-bench", "unknown")}


class Bench:
    """All processes of a run and the figures so far."""

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.processes = []
        self.figures = {}
        self.direct = []
        self.tokens = write_tokens(folder)

    def start(self):
        """Starts all, and notes the memory of each before its first request."""
        binaries = {"tollgate": PROGRAMS / "tollgate"}
        if self.options.against:
            binaries["before"] = Path(self.options.against).resolve()
        ports = free_ports(5 + 4 * len(binaries))
        self.upstream, bare, nginx, redis, postgres = ports[:5]
        self.keep(Process("upstream", OTHER_CORE, [PROGRAMS / "examples/bench-upstream", self.upstream],
                          self.folder / "upstream.log")).wait_for(self.upstream)
        redis_process = self.keep(start_redis(self.folder, redis))
        postgres_process, psql = start_postgres(self.folder, postgres)
        self.keep(postgres_process)
        self.servers = Servers(redis_process, redis, postgres_process, postgres, psql)
        self.targets = [Plain("bare Pingora", bare, self.keep(self.start_bare(bare))),
                        Plain("nginx", nginx, self.keep(start_nginx(self.folder, nginx, self.upstream)))]
        left = ports[5:]
        for name, binary in binaries.items():
            for stores, servers in (("embedded", None), ("servers", self.servers)):
                own, left = left[:2], left[2:]
                target = Tollgate(f"{name} {stores}", binary, self.folder, own, self.upstream, servers)
                self.keep(target.process)
                self.targets.append(target)
        for target in self.targets:
            rounds = {name: [] for name in [*SHAPES, *HOT, *REFUSED, *RATES]}
            self.figures[target.name] = {"idle_kib": target.process.rss_kib(), **rounds}

    def keep(self, process):
        """Remembers a process, to be stopped."""
        self.processes.append(process)
        return process

    def start_bare(self, port):
        bare = Process("bare Pingora", PROXY_CORE, [PROGRAMS / "examples/bench-bare", port, self.upstream],
                       self.folder / "bare.log")
        bare.wait_for(port)
        return bare

    def stop(self):
        """Stops all, the last one first."""
        for process in reversed(self.processes):
            # PostgreSQL: SIGINT is its fast stop
            process.stop(signal.SIGINT if process.name == "postgres" else signal.SIGTERM)

    def answered(self):
        """What the upstream has answered so far."""
        return int(get(f"http://127.0.0.1:{self.upstream}/stats"))

    def wrk(self, target, shape, seconds, refused=False):
        """As many requests as go through; returns requests and requests a second. `refused`: none may be answered 2xx."""
        model, who = {**SHAPES, **HOT, **REFUSED}[shape]
        environment = {**os.environ, "BENCH_TOKENS": str(self.tokens[who]), "BENCH_MODEL": model}
        command = ["taskset", "-c", OTHER_CORE, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "20s", "-s",
                   str(ROOT / "benches/wrk.lua"), f"http://127.0.0.1:{target.port}"]
        text = subprocess.check_output(command, env=environment, text=True)
        requests = int(re.search(r"(\d+) requests in", text).group(1))
        other = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        wrongly = (int(other.group(1)) if other else 0) != (requests if refused else 0)
        if wrongly or requests == 0 or "Socket errors" in text:
            raise SystemExit(f"bench: {target.name} did not answer all requests with {shape} as it should:\n{text}")
        return requests, float(re.search(r"Requests/sec: *(\S+)", text).group(1))

    def load(self, *arguments, **options):
        command = ["taskset", "-c", OTHER_CORE, PROGRAMS / "examples/bench-load", *arguments]
        return subprocess.Popen([str(part) for part in command], text=True, stdout=subprocess.PIPE, **options)

    def throughput(self, target, shape):
        """One round of wrk: CPU time of the target (and of its stores), drained to the last ledger row."""
        stores = [self.servers.redis, self.servers.postgres] if getattr(target, "servers", None) else []
        watched = [target.process, *stores]
        with Checked(self, target, in_flight=CONNECTIONS) as checked:
            before = [process.cpu_seconds() for process in watched]
            requests, rate = self.wrk(target, shape, self.options.seconds)
            target.drain()
            spent = [process.cpu_seconds() - past for process, past in zip(watched, before)]
            checked.completed = requests
        us = [seconds * 1e6 / checked.answered for seconds in spent] + [None, None]
        self.figures[target.name][shape].append(
            {"cpu_us": us[0], "redis_us": us[1], "postgres_us": us[2], "rate": rate})

    def refusals(self, target, shape):
        """One round of wrk that is refused: CPU time of the target; nothing reaches the upstream or the ledger."""
        if not isinstance(target, Tollgate):
            return
        with Checked(self, target) as checked:
            before = target.process.cpu_seconds()
            requests, rate = self.wrk(target, shape, self.options.seconds, refused=True)
            spent, checked.completed = target.process.cpu_seconds() - before, 0
        self.figures[target.name][shape].append({"cpu_us": spent * 1e6 / requests, "rate": rate})

    def start_and_stop(self, target):
        """A new process of the same binary with stores of its own: to its first answer, and its stop with nothing to do."""
        if not isinstance(target, Tollgate):
            return
        self.figures[target.name]["starts"] = []
        for turn in range(STARTS):
            another = Tollgate(f"{target.name} start {turn}", target.binary, self.folder, free_ports(2), self.upstream,
                               target.servers)
            self.keep(another.process)
            wait_until(lambda: another.answers(self.tokens["one user"]), f"{target.name}'s first answer", pause=0.002)
            started = time.monotonic() - another.begun
            another.drain()
            begin = time.monotonic()
            another.process.stop()
            self.processes.remove(another.process)
            self.figures[target.name]["starts"].append(
                {"start_ms": started * 1e3, "stop_ms": (time.monotonic() - begin) * 1e3})

    def at_rate(self, port, rate):
        """One round at a fixed rate; every request must be answered."""
        output, _ = self.load("rate", port, self.tokens["users"], rate, self.options.seconds).communicate()
        figures = json.loads(output)
        if figures["ok"] != figures["sent"]:
            raise SystemExit(f"bench: {figures['sent'] - figures['ok']} requests at a fixed rate were not answered")
        return figures

    def latency(self, target, rate):
        with Checked(self, target) as checked:
            figures = self.at_rate(target.port, rate)
            target.drain()
            checked.completed = figures["ok"]
        self.figures[target.name][rate].append(figures)

    def hold(self, target):
        """Memory with many streams open; all must come to their end."""
        count = self.options.streams
        with Checked(self, target) as checked:
            self.figures[target.name]["before_streams_kib"] = target.process.rss_kib()
            load = self.load("hold", target.port, self.tokens["users"], count, stdin=subprocess.PIPE)
            if load.stdout.readline().strip() != "open":
                raise SystemExit(f"bench: {target.name} did not open {count} streams")
            self.figures[target.name]["streams_kib"] = target.process.rss_kib()
            get(f"http://127.0.0.1:{self.upstream}/release")
            output, _ = load.communicate()
            whole = json.loads(output)["whole"]
            if whole != count:
                raise SystemExit(f"bench: {target.name} brought {whole} of {count} streams to their end")
            target.drain()
            checked.completed = count

    def backlog(self, target):
        """Rows a second from journal to ledger: the ledger is held while requests are answered, then let go."""
        if not isinstance(target, Tollgate):
            return
        pending = lambda: target.gauge("tollgate_journal_pending_events")
        with Checked(self, target, in_flight=CONNECTIONS) as checked:
            if target.servers:
                target.servers.postgres.send(signal.SIGSTOP)
                checked.completed, _ = self.wrk(target, "json", self.options.seconds)
                rows = pending()
                target.servers.postgres.send(signal.SIGCONT)
            else:
                blocker = sqlite3.connect(target.sqlite, timeout=30, isolation_level=None)
                blocker.execute("BEGIN IMMEDIATE")
                checked.completed, _ = self.wrk(target, "json", self.options.seconds)
                rows = pending()
                blocker.execute("ROLLBACK")
                blocker.close()
            # from the first row on: a writer that met a closed ledger waits before it tries again
            wait_until(lambda: pending() < rows, f"{target.name}'s first row", DRAIN_SECONDS)
            begin, first = time.monotonic(), pending()
            target.drain()
            self.figures[target.name]["rows_per_s"] = first / (time.monotonic() - begin)
            self.figures[target.name]["backlog_rows"] = rows

    def run(self):
        """Everything in order: warm up, rounds, streams, backlog."""
        for target in self.targets:
            for shape in [*SHAPES, *(HOT if isinstance(target, Tollgate) else {})]:
                self.wrk(target, shape, 1)
            if isinstance(target, Tollgate):
                target.answers(self.tokens["spent"])
            target.drain()
        for turn in range(self.options.rounds):
            print(f"round {turn + 1} of {self.options.rounds}", file=sys.stderr)
            self.direct.append({rate: self.at_rate(self.upstream, rate) for rate in RATES})
            # each round begins with another target
            order = self.targets[turn % len(self.targets):] + self.targets[:turn % len(self.targets)]
            for rate in RATES:
                for target in order:
                    self.latency(target, rate)
            for shape in [*SHAPES, *HOT]:
                for target in order:
                    if shape in SHAPES or isinstance(target, Tollgate):
                        self.throughput(target, shape)
            for shape in REFUSED:
                for target in order:
                    self.refusals(target, shape)
        print(f"{self.options.streams} open streams", file=sys.stderr)
        for target in self.targets:
            self.hold(target)
        print("starts and stops", file=sys.stderr)
        for target in self.targets:
            self.start_and_stop(target)
        print("backlogs of the ledger", file=sys.stderr)
        for target in self.targets:
            self.backlog(target)


class Plain:
    """A proxy that has no ledger."""

    def __init__(self, name, port, process):
        self.name, self.port, self.process = name, port, process

    def drain(self):
        """Nothing is behind its answers."""

    def ledger(self):
        """It has none."""
        return None


class Checked:
    """Checks that what was answered meanwhile stands in the ledger, once, and in the totals of both limits.

    wrk leaves with one request in flight on each connection, so there the ledger lies between what wrk has seen and what
    the upstream has answered; else all three are equal."""

    def __init__(self, bench, target, in_flight=0):
        self.bench, self.target, self.in_flight = bench, target, in_flight
        self.completed = None

    def __enter__(self):
        self.before, self.answered_before = self.target.ledger(), self.bench.answered()
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            return
        self.answered = self.bench.answered() - self.answered_before
        if not self.completed <= self.answered <= self.completed + self.in_flight:
            raise SystemExit(f"bench: {self.target.name}: {self.completed} answers came, {self.answered} were given")
        after = self.target.ledger()
        if after is None:
            return
        grown = {key: after[key] - self.before[key] for key in after}
        equal = grown["messages"] == grown["used"] == grown["premium_used"]
        if not equal or not self.completed <= grown["messages"] <= self.answered:
            raise SystemExit(f"bench: {self.target.name}: answers {self.completed} to {self.answered}, ledger {grown}")


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--against")
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tollgate-bench-"))
    # PostgreSQL runs as another user when this runs as root
    folder.chmod(0o755)
    bench = Bench(options, folder)
    try:
        bench.start()
        bench.run()
    except BaseException:
        print(f"bench: the logs are in {folder}", file=sys.stderr)
        bench.stop()
        raise
    bench.stop()
    shutil.rmtree(folder)
    results = {"figures": bench.figures, "direct": bench.direct, "rounds": options.rounds, "seconds": options.seconds,
               "streams": options.streams, "connections": CONNECTIONS, "rates": RATES}
    text = bench_report.tables(results)
    print(text)
    if not options.no_write:
        bench_report.write(ROOT / "docs/benchmarks.md", text)


main()
