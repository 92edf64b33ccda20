"""What every Python case needs: tokens, the gateway's and the stub's numbers, and the list of cases.

Knows HTTP through the standard library only, so that no SDK under test has a hand in the checks.
"""

import base64
import datetime
import hashlib
import hmac
import json
import os
import re
import time
import traceback
import urllib.request
import uuid

GATEWAY = os.environ["TOLLGATE_URL"].rstrip("/")
ADMIN = os.environ["TOLLGATE_ADMIN"].rstrip("/")
STUB = os.environ["STUB_URL"].rstrip("/")
SECRET = os.environ["TOLLGATE_SECRET"]

# The numbers of the shipped plan `free`.
TOTAL, PREMIUM = 100, 20
# Messages a minute of the plan `brisk`.
BRISK = 30

# How long a number may take to reach `/metrics` or `/stub/stats` after the answer.
PATIENCE_S = 5.0
# How long to watch for an attempt too many once the expected ones are there; SDKs come back after about half a second.
QUIET_S = 1.2


def token(user, ttl_s=3600, plan="free", role=None):
    """A JWT signed with HS256 (RFC 7515)."""

    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    claims = {"sub": user, "plan": plan, "exp": int(time.time()) + ttl_s}
    if role:
        claims["role"] = role
    signed = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
    return (signed + b"." + part(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest())).decode()


def fresh_token(**more):
    """A token of a user nobody has seen yet."""
    return token(f"user-{uuid.uuid4().hex}", **more)


def get(url, key=None):
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def usage(key):
    return json.loads(get(f"{GATEWAY}/api/usage", key))


def stub():
    return json.loads(get(f"{STUB}/stub/stats"))


def outcomes(outcome):
    """Requests that ended so, over all label sets."""
    sample = re.compile(r'^tollgate_requests_total\{[^}]*outcome="%s"[^}]*\} ([0-9.e+]+)$' % outcome, re.M)
    return int(sum(float(value) for value in sample.findall(get(f"{ADMIN}/metrics"))))


def reset_date():
    """The first day of next month in UTC: when the shipped limits begin again."""
    today = datetime.datetime.now(datetime.timezone.utc)
    return f"{today.year + today.month // 12}-{today.month % 12 + 1:02}-01"


def eventually(read, expected, what):
    deadline = time.monotonic() + PATIENCE_S
    while (seen := read()) != expected:
        check(time.monotonic() < deadline, f"{what}: expected {expected}, got {seen}")
        time.sleep(0.02)


class Attempts:
    """Within the block, exactly `expected` requests reach the gateway and end as `outcome`; none reaches the stub."""

    def __init__(self, outcome, expected):
        self.outcome, self.expected = outcome, expected

    def __enter__(self):
        self.before, self.reached = outcomes(self.outcome), stub()["requests"]

    def __exit__(self, kind, *_):
        if kind is not None:
            return
        what = f"requests with outcome {self.outcome}"
        eventually(lambda: outcomes(self.outcome) - self.before, self.expected, what)
        time.sleep(QUIET_S)
        seen = outcomes(self.outcome) - self.before
        check(seen == self.expected, f"{what}: expected {self.expected}, later {seen}")
        check(stub()["requests"] == self.reached, "a refused request reached the upstream")


class Failed(Exception):
    """A check of ours that did not hold."""


def check(holds, message):
    if not holds:
        raise Failed(message)


def refused(call, is_right, what):
    """The exception that `call` raises, which must satisfy `is_right`."""
    try:
        answer = call()
    except Failed:
        raise
    except Exception as error:  # the SDKs share no base class
        check(is_right(error), f"{what}: wrong class {type(error).__mro__[:3]}: {error}")
        return error
    raise Failed(f"{what}: expected a refusal, got the answer {answer!r}")


def run(cases):
    """Runs (name, function) pairs, prints a line each, returns how many failed."""
    failed = 0
    for name, case in cases:
        started = time.monotonic()
        try:
            case()
        except Exception as error:
            failed += 1
            frames = traceback.extract_tb(error.__traceback__)
            where = [frame for frame in frames if frame.name != "check"][-1]
            text = " ".join(str(error).split())[:600]
            place = f"{os.path.basename(where.filename)}:{where.lineno}"
            print(f"FAIL python {name}: {type(error).__name__}: {text} ({place})", flush=True)
        else:
            print(f"ok   python {name} ({time.monotonic() - started:.1f} s)", flush=True)
    return failed
