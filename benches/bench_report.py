"""The figures of scripts/bench as the tables of docs/benchmarks.md. Knows no process: figures in, text out."""

import datetime
import platform
import re
import subprocess
from pathlib import Path
from statistics import median

BEGIN, END = "<!-- results: written by scripts/bench -->\n", "<!-- end of results -->\n"
FLOOR, SERVER = "bare Pingora", "nginx"


def tables(results):
    """All tables, as Markdown."""
    figures, names = results["figures"], list(results["figures"])
    of = lambda name, shape, key: median(round_[key] for round_ in figures[name][shape])
    lines = [about(results), ""]
    lines += ["CPU time of the proxy's process for one request, in µs, medians of the rounds (smallest to largest):", ""]
    lines += head("", "JSON answer", "× bare", "× nginx", "requests/s", "stream of 64 events", "× bare", "× nginx")
    for name in names:
        row = [name]
        for shape in ("json", "stream"):
            cpu = of(name, shape, "cpu_us")
            each = [round_["cpu_us"] for round_ in figures[name][shape]]
            row.append(f"{cpu:.0f} ({min(each):.0f}–{max(each):.0f})")
            row += [f"{cpu / of(other, shape, 'cpu_us'):.2f}" for other in (FLOOR, SERVER)]
            if shape == "json":
                row.append(f"{of(name, shape, 'rate'):.0f}")
        lines.append(line(row))
    lines += hot_and_refused(figures, of)
    direct = lambda rate, key: median(round_[rate][key] for round_ in results["direct"])
    lines += ["", "Latency added at a fixed rate, in µs over the upstream without a proxy ("
              + "; ".join(f"{rate}/s: p50 {direct(rate, 'p50_us'):.0f}, p99 {direct(rate, 'p99_us'):.0f}" for rate in results["rates"])
              + "):", ""]
    lines += head("", *(f"{key} at {rate}/s" for rate in results["rates"] for key in ("p50", "p99")), "p99 × bare")
    added = lambda name, rate, key: of(name, rate, key) - direct(rate, key)
    for name in names:
        cells = [f"{added(name, rate, key):.0f}" for rate in results["rates"] for key in ("p50_us", "p99_us")]
        ratios = [f"{added(name, rate, 'p99_us') / added(FLOOR, rate, 'p99_us'):.2f}" for rate in results["rates"]]
        lines.append(line([name, *cells, ", ".join(ratios)]))
    lines += ["", "Resident memory in MiB:", ""]
    lines += head("", "idle", "after load", f"{results['streams']} open streams", "KiB a stream", "× bare")
    per_stream = lambda name: (figures[name]["streams_kib"] - figures[name]["before_streams_kib"]) / results["streams"]
    for name in names:
        memory = [f"{figures[name][key] / 1024:.0f}" for key in ("idle_kib", "before_streams_kib", "streams_kib")]
        ratio = per_stream(name) / per_stream(FLOOR)
        lines.append(line([name, *memory, f"{per_stream(name):.1f}", f"{ratio:.2f}"]))
    lines += ["", "Behind tollgate: CPU time of the servers for one JSON request, in µs, and how fast a backlog of the "
              "journal goes into the ledger:", ""]
    lines += head("", "Redis", "PostgreSQL", "rows/s", "backlog")
    for name in names:
        if "rows_per_s" in figures[name]:
            stores = [of(name, "json", key) if figures[name]["json"][0][key] is not None else None
                      for key in ("redis_us", "postgres_us")]
            stores = ["–" if value is None else f"{value:.0f}" for value in stores]
            lines.append(line([name, *stores, f"{figures[name]['rows_per_s']:.0f}", f"{figures[name]['backlog_rows']:.0f}"]))
    return "\n".join(lines) + "\n"


def hot_and_refused(figures, of):
    """tollgate alone: all load on one user or one team, what is refused, start and stop."""
    lines = ["", "All requests of one user, and of the 500 members of one team (three limits): CPU time in µs and × bare's JSON "
             "answer. Refused requests: CPU time in µs and × a served one. From the start of the process to its first answer, and "
             "an idle stop, in ms:", ""]
    lines += head("", "one user", "× bare", "one team", "× bare", "429", "× served", "401", "× served", "start", "stop")
    for name in figures:
        if "starts" not in figures[name]:
            continue
        row = [name]
        for shapes, floor in ((("hot user", "hot team"), of(FLOOR, "json", "cpu_us")), (("429", "401"), of(name, "json", "cpu_us"))):
            for shape in shapes:
                row += [f"{of(name, shape, 'cpu_us'):.1f}", f"{of(name, shape, 'cpu_us') / floor:.2f}"]
        row += [f"{of(name, 'starts', key):.0f}" for key in ("start_ms", "stop_ms")]
        lines.append(line(row))
    return lines


def about(results):
    """When, on what, with which versions."""
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    memory = int(re.search(r"MemTotal: *(\d+)", Path("/proc/meminfo").read_text()).group(1)) / 1024**2
    version = lambda *command: subprocess.run(command, text=True, capture_output=True, check=True)
    first = lambda done: re.search(r"\d[\w.]*", done.stdout + done.stderr).group()
    servers = [f"nginx {first(version('/usr/sbin/nginx', '-v'))}",
               f"Redis {first(version('redis-server', '--version'))}",
               f"PostgreSQL {first(version('pg_config', '--version'))}",
               f"rustc {first(version('rustc', '--version'))}"]
    cores = Path("/proc/cpuinfo").read_text().count("processor\t")
    return (f"{datetime.date.today().isoformat()}, {cpu.group(1) if cpu else platform.machine()}, {cores} cores, "
            f"{memory:.0f} GiB, Linux {platform.release()}, {', '.join(servers)}. {results['rounds']} interleaved rounds "
            f"of {results['seconds']} s, {results['connections']} connections.")


def head(*names):
    return [line(names), line(["---"] + ["---:"] * (len(names) - 1))]


def line(cells):
    return "| " + " | ".join(cells) + " |"


def write(path, text):
    """Puts the tables between the marks of the page; what people wrote around them stays."""
    page = path.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(before + BEGIN + text + END + after)
