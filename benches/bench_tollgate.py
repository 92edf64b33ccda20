"""A tollgate under measurement: its configuration, its tokens, what its ledger holds. It must not know the rounds."""

import base64
import hashlib
import hmac
import json
import re
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request

from bench_processes import PROXY_CORE, Process, get, wait_until

SECRET = "bench-secret-of-more-than-32-bytes-length"
USERS = 500
DRAIN_SECONDS = 120
# so large that nobody is refused; the limits are held, settled and written like small ones
MAX = 1_000_000_000

CONFIG = """
[server]
listen = "127.0.0.1:{port}"
admin_listen = "127.0.0.1:{admin}"

[storage]
data_dir = "{data}"
{stores}

[quota]
default_plan = "free"

[groups]
premium = ["claude-*"]

[plans.free]
models = ["*"]
[[plans.free.limits]]
name = "messages"
meter = "messages"
max = {max}
per = "month"
[[plans.free.limits]]
name = "premium"
meter = "messages"
models = ["@premium"]
max = {max}
per = "month"

[plans.team]
extends = "free"
[[plans.team.limits]]
name = "pool"
meter = "messages"
scope = "team"
max = {max}
per = "month"

[plans.spent]
extends = "free"
[[plans.spent.limits]]
name = "messages"
meter = "messages"
max = 1
per = "month"

[[issuers]]
name = "bench"
algorithms = ["HS256"]
secret = "{secret}"
claims = {{ user = "sub", plan = "plan", team = "team" }}

[[upstreams]]
name = "mock"
base_url = "http://127.0.0.1:{upstream}"
api_key = "sk-bench"
models = ["claude-bench*"]
serves = {{ openai = "/v1" }}
"""


def write_tokens(folder):
    """Files of tokens, one a line, signed as the configuration's issuer does, by whose they are."""
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")
    expires = int(time.time()) + 86_400

    def token(secret=SECRET, **claims):
        signed = part({"alg": "HS256", "typ": "JWT"}) + b"." + part({**claims, "exp": expires})
        mac = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
        return (signed + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()

    files = {}
    for name, tokens in {
        "users": [token(sub=f"user-{user}") for user in range(USERS)],
        "one user": [token(sub="hot")],
        "one team": [token(sub=f"member-{user}", plan="team", team="hot") for user in range(USERS)],
        "spent": [token(sub="spent", plan="spent")],
        "unknown": [token("another-secret-of-more-than-32-bytes", sub=f"user-{user}") for user in range(USERS)],
    }.items():
        files[name] = folder / f"tokens of {name}".replace(" ", "-")
        files[name].write_text("\n".join(tokens) + "\n")
    return files


class Tollgate:
    """One gateway with its stores."""

    def __init__(self, name, binary, folder, ports, upstream, servers=None):
        self.name, self.binary = name, binary
        self.port, self.admin = ports
        self.servers = servers
        home = folder / name.replace(" ", "-")
        home.mkdir()
        self.sqlite = home / "data" / "ledger.sqlite"
        self.database = "t" + re.sub(r"\W", "", name)
        stores = ""
        if servers:
            servers.psql("tollgate", f"CREATE DATABASE {self.database}")
            stores = (f'database_url = "postgresql://tollgate@127.0.0.1:{servers.postgres_port}/{self.database}"\n'
                      f'redis_url = "redis://127.0.0.1:{servers.redis_port}/{servers.next_redis_database()}"')
        config = home / "tollgate.toml"
        config.write_text(CONFIG.format(port=self.port, admin=self.admin, data=home / "data", stores=stores, max=MAX,
                                        secret=SECRET, upstream=upstream))
        self.begun = time.monotonic()
        self.process = Process(name, PROXY_CORE, [binary, "run", "-c", config], folder / f"{home.name}.log")
        self.process.wait_for(self.port, pause=0.002)

    def answers(self, tokens):
        """Does it answer a message of the first of these tokens?"""
        body = json.dumps({"model": "claude-bench", "messages": [{"role": "user", "content": "Hello"}]}).encode()
        headers = {"authorization": f"Bearer {tokens.read_text().split()[0]}", "content-type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/chat/completions", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.read() != b""
        except (urllib.error.URLError, ConnectionError):
            return False

    def gauge(self, name):
        """A value of its metrics page."""
        page = get(f"http://127.0.0.1:{self.admin}/metrics")
        return float(re.search(rf"^{name} (\S+)$", page, re.M).group(1))

    def drain(self):
        """Waits until no request is in flight and the ledger has all that have ended."""
        names = ["tollgate_in_flight_requests", "tollgate_holds_open", "tollgate_journal_pending_events"]
        wait_until(lambda: all(self.gauge(name) == 0 for name in names), f"{self.name}'s drained journal", DRAIN_SECONDS)

    def ledger(self):
        """Rows, messages, and the running total of each limit."""
        logs = "SELECT count(*), coalesce(sum(messages), 0) FROM message_logs"
        totals = "SELECT coalesce(sum(used), 0) FROM user_usage WHERE limit_name = '{}'"
        queries = [logs, totals.format("messages"), totals.format("premium")]
        if self.servers:
            answers = [self.servers.psql(self.database, query).split("|") for query in queries]
        else:
            with sqlite3.connect(f"file:{self.sqlite}?mode=ro", uri=True, timeout=30) as base:
                answers = [base.execute(query).fetchone() for query in queries]
        (rows, messages), (all_used,), (premium_used,) = [[int(value) for value in answer] for answer in answers]
        return {"rows": rows, "messages": messages, "used": all_used, "premium_used": premium_used}


class Servers:
    """The Redis and the PostgreSQL of the gateways that use them. Each gateway has a database of its own in both."""

    def __init__(self, redis, redis_port, postgres, postgres_port, psql):
        self.redis, self.redis_port = redis, redis_port
        self.postgres, self.postgres_port = postgres, postgres_port
        self.program = psql
        self.redis_databases = 0

    def next_redis_database(self):
        """A number that no other gateway uses."""
        self.redis_databases += 1
        return self.redis_databases

    def psql(self, database, query):
        """The answer of a query, columns separated by `|`."""
        command = [self.program, "-qtA", "-h", "127.0.0.1", "-p", str(self.postgres_port), "-U", "tollgate", "-d",
                   database, "-c", query]
        return subprocess.check_output(command, text=True).strip()
