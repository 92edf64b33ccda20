"""The processes of scripts/bench: how each is started and stopped, and what the kernel says of its CPU time and memory.
It must not know what is measured."""

import ctypes
import os
import pwd
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

PROXY_CORE = "0"
OTHER_CORE = "1"
START_SECONDS = 30
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
PR_SET_PDEATHSIG = 1


def free_ports(count):
    """Ports that nobody listens on, all different."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def get(url, seconds=10):
    """The body of a page, as text."""
    with urllib.request.urlopen(url, timeout=seconds) as answer:
        return answer.read().decode()


def wait_until(is_so, what, seconds=START_SECONDS, pause=0.02):
    """Looks until it is so. Fails with a sentence that says what did not come."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if is_so():
            return
        time.sleep(pause)
    raise SystemExit(f"bench: {what} did not come within {seconds} s")


def is_listening(port):
    """Does anybody accept connections there?"""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def die_with_parent():
    """In a child: the bench's end, however it comes, ends its servers."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Process:
    """A running program and its children."""

    def __init__(self, name, core, command, log, user=None, **options):
        self.name = name
        as_user = ["runuser", "-u", user, "--"] if user and os.geteuid() == 0 else []
        self.log = open(log, "ab")
        self.child = subprocess.Popen(
            ["taskset", "-c", core, *as_user, *map(str, command)],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, preexec_fn=die_with_parent, **options)

    def wait_for(self, port, pause=0.02):
        """Waits until it listens."""
        def is_up():
            if self.child.poll() is not None:
                raise SystemExit(f"bench: {self.name} ended at its start, see {self.log.name}:\n"
                                 + Path(self.log.name).read_text()[-2000:])
            return is_listening(port)
        wait_until(is_up, f"{self.name} on port {port}", pause=pause)

    def pids(self):
        """Its process and all processes below it."""
        parents = {}
        for entry in Path("/proc").glob("[0-9]*"):
            fields = stat(entry.name)
            if fields:
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
        found, left = [], [self.child.pid]
        while left:
            pid = left.pop()
            found.append(pid)
            left.extend(parents.get(pid, []))
        return found

    def cpu_seconds(self):
        """User and system time of it, of its children, and of those that have ended and were waited for."""
        ticks = 0
        for pid in self.pids():
            fields = stat(pid)
            # utime, stime, cutime, cstime
            ticks += sum(map(int, fields[11:15])) if fields else 0
        return ticks / TICKS_PER_SECOND

    def rss_kib(self):
        """Resident memory of it and its children."""
        total = 0
        for pid in self.pids():
            fields = stat(pid)
            total += int(fields[21]) * PAGE_KIB if fields else 0
        return total

    def send(self, number):
        """Sends a signal to it and its children."""
        for pid in self.pids():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def stop(self, number=signal.SIGTERM):
        """Asks it to end and waits; kills it if it does not."""
        # `runuser` does not pass every signal on: its children are asked as well
        for pid in reversed(self.pids()):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        try:
            code = self.child.wait(45)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            code = self.child.wait()
        self.log.close()
        return code


def stat(pid):
    """Fields of /proc/PID/stat behind the program's name: state, parent, …; None if it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def start_redis(folder, port):
    """Redis with an append-only file, as production has it."""
    (folder / "redis").mkdir()
    redis = Process("redis", OTHER_CORE, [
        "redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", folder / "redis", "--appendonly", "yes",
        "--save", "", "--maxmemory-policy", "noeviction"], folder / "redis.log")
    redis.wait_for(port)
    return redis


def start_postgres(folder, port):
    """A new PostgreSQL with an empty database `tollgate`. Its durability settings are the shipped ones."""
    programs = Path(subprocess.check_output(["pg_config", "--bindir"], text=True).strip())
    if not (programs / "postgres").exists():
        programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
    home = folder / "postgres"
    home.mkdir()
    user = None
    if os.geteuid() == 0:
        user = "postgres"
        os.chown(home, pwd.getpwnam(user).pw_uid, -1)
    as_user = ["runuser", "-u", user, "--"] if user else []
    subprocess.run([*as_user, programs / "initdb", "-D", home / "data", "-U", "tollgate", "-A", "trust", "-E", "UTF8",
                    "--locale=C"], check=True, cwd=home, stdout=subprocess.DEVNULL)
    postgres = Process("postgres", OTHER_CORE, [
        programs / "postgres", "-D", home / "data", "-k", home, "-h", "127.0.0.1", "-p", port,
        "-c", "shared_buffers=256MB"], folder / "postgres.log", user=user, cwd=home)
    postgres.wait_for(port)
    wait_until(lambda: subprocess.run([programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]).returncode == 0,
               "PostgreSQL")
    subprocess.run([programs / "psql", "-q", "-h", "127.0.0.1", "-p", str(port), "-U", "tollgate", "-d", "postgres",
                    "-c", "CREATE DATABASE tollgate"], check=True)
    return postgres, programs / "psql"


def start_nginx(folder, port, upstream):
    """nginx with one worker and kept upstream connections, unbuffered as streams need it."""
    home = folder / "nginx"
    home.mkdir()
    (home / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid {home}/pid; error_log {home}/error.log;
user {pwd.getpwuid(os.geteuid()).pw_name};
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u;
  scgi_temp_path {home}/s;
  upstream mock {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_read_timeout 300s;
    }}
  }}
}}
""")
    nginx = Process("nginx", PROXY_CORE, ["/usr/sbin/nginx", "-c", home / "nginx.conf", "-p", home], folder / "nginx.log")
    nginx.wait_for(port)
    return nginx
