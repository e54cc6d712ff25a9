#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the command does when the system refuses it something, and with logs that no run writes."""
import base64
import errno
import json
import os
import pty
import resource
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time

from cases import WAIT, case, end, equal, holds, main, read_until, until
from logs import Segment, record

CONTINUES, NO_EOL, USER = 0x100, 0x200, 0x5000
REFUSE = os.environ["REFUSE_SO"]


def refusing(*names, root=None):
    """An environment in which the named calls fail: NAME, NAME:NTH."""
    parts = []
    for name in names:
        call, _, nth = name.partition(":")
        number = errno.EIO if call in ("ppoll", "pread") else errno.EMFILE
        parts.append(f"{call}:{number}" + (f":{nth}" if nth else ""))
    return {"LD_PRELOAD": REFUSE, "REFUSE": ",".join(parts),
            **({"REFUSE_ROOT": str(root)} if root else {})}


def checks(box, code=0, **more):
    done = box.run("doctor", "--json", code=code, **more)
    return {check["name"]: check for check in done.json["checks"]}


def tree(box, **files):
    """A folder with the files of /proc and /sys; "__" stands for "/"."""
    for name, text in files.items():
        box.file("root/" + name.replace("__", "/"), text.encode())
    return box.folder / "root"


@case
def doctor_limits_v2(box):
    """doctor finds the tightest limit of control groups of version 2, at any level."""
    root = tree(box, proc__self__cgroup="0::/a/b\n", sys__fs__cgroup__x="")
    for name, text in (("cgroup.controllers", "cpu memory\n"), ("a/b/cpu.max", "max 100000\n"),
                       ("a/cpu.max", "50000 100000\n"), ("cpu.max", "90000 100000\n"),
                       ("a/b/memory.max", "max\n"), ("a/memory.max", "33554432\n"),
                       ("memory.max", "99999999\n")):
        box.file("root/sys/fs/cgroup/" + name, text.encode())
    seen = checks(box, env=refusing(root=root))
    equal(seen["cgroup cpu"]["state"], "warn", "the state of cgroup cpu")
    holds(seen["cgroup cpu"]["found"], "version 2", "0.50 CPUs")
    equal(seen["cgroup mem"]["state"], "warn", "the state of cgroup mem")
    holds(seen["cgroup mem"]["found"], "version 2", "34 MB")
    holds(box.run("doctor", env=refusing(root=root)).out, b"-> give the group more CPU time",
          b"warn ")


@case
def doctor_limits_v1(box):
    """doctor finds limits of control groups of version 1, whichever controllers go together."""
    root = tree(box, proc__self__cgroup="5:memory:/x\n4:cpuset,cpu:/x\n3:pids:/x\nbad\nbad:\n")
    for name, text in (("memory/x/memory.limit_in_bytes", "9223372036854771712\n"),
                       ("memory/memory.limit_in_bytes", "104857600\n"),
                       ("cpu/x/cpu.cfs_quota_us", "25000\n"), ("cpu/x/cpu.cfs_period_us", "100000\n"),
                       ("cpu/cpu.cfs_quota_us", "-1\n"), ("cpu/cpu.cfs_period_us", "100000\n")):
        box.file("root/sys/fs/cgroup/" + name, text.encode())
    seen = checks(box, env=refusing(root=root))
    holds(seen["cgroup cpu"]["found"], "version 1", "0.25 CPUs")
    equal(seen["cgroup mem"]["state"], "ok", "the state of cgroup mem")
    holds(seen["cgroup mem"]["found"], "version 1", "105 MB")


@case
def doctor_half_limits(box):
    """A quota without its period, and a controller whose name is part of another's, are no limit."""
    root = tree(box, proc__self__cgroup="4:cpuset,xcpu,cpuacct:/x\n3:cpu:/y\n")
    box.file("root/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", b"1000\n")
    box.file("root/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", b"100000\n")
    box.file("root/sys/fs/cgroup/cpu/y/cpu.cfs_quota_us", b"1000\n")
    seen = checks(box, env=refusing(root=root))
    equal(seen["cgroup cpu"]["found"], "no limit below the usable CPUs", "cgroup cpu")
    equal(seen["cgroup mem"]["found"], "no limit", "cgroup mem")
    box.file("root/sys/fs/cgroup/cpu/y/cpu.cfs_period_us", b"0\n")
    equal(checks(box, env=refusing(root=root))["cgroup cpu"]["state"], "ok", "a period of 0")


@case
def doctor_without_proc(box):
    """Without /proc and /sys doctor says what it cannot see, and the rest works."""
    seen = checks(box, env=refusing(root=tree(box, empty="")))
    equal(seen["proc"]["state"], "warn", "the state of proc")
    equal(seen["cgroup cpu"]["found"], "no control groups", "cgroup cpu")
    holds(seen["clock"]["found"], "unknown")
    # A controller is there, and nobody says which group this process is in.
    box.file("root/sys/fs/cgroup/memory/x", b"")
    equal(checks(box, env=refusing(root=box.folder / "root"))["cgroup mem"]["found"], "no limit",
          "cgroup mem")
    box.file("root/proc/self/stat", b"")
    equal(checks(box, env=refusing(root=box.folder / "root"))["proc"]["state"], "warn",
          "the state of an empty file")


@case
def doctor_refused(box):
    """What weir needs and is refused is to be fixed, by name, and makes doctor end with 1."""
    for call, name in (("memfd_create", "memfd"), ("timerfd_create", "timerfd"),
                       ("eventfd", "timerfd"), ("epoll_create1", "timerfd"),
                       ("epoll_ctl", "timerfd")):
        seen = checks(box, code=1, env=refusing(call))
        equal(seen[name]["state"], "fix", f"the state of {name} without {call}")
        holds(seen[name]["found"], os.strerror(errno.EMFILE))
        if call != "memfd_create":
            equal(seen["engine"]["state"], "fix", f"the state of engine without {call}")
            holds(seen["engine"]["found"], "does not go through")


@case
def doctor_told_nothing(box):
    """What the system does not tell is not reported."""
    seen = checks(box, env=refusing("uname", "getrlimit", "clock_getres"))
    equal({"kernel", "memlock", "nofile"} & seen.keys(), set(), "what is reported")
    holds(seen["timers"]["found"], "0 ns")


@case
def doctor_rlimits(box):
    """doctor names limits of the process that are low."""
    def low():
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (4096, 4096))

    seen = checks(box, preexec_fn=low)
    equal((seen["nofile"]["state"], seen["memlock"]["state"]), ("warn", "warn"), "states")
    holds(seen["nofile"]["remedy"], "ulimit -n")


def rich_log(box):
    """A log of two lives, with all that a record may carry, and parts that lack their last."""
    first = Segment(1)
    first.names(b"app", b"")
    first.batch(1, record(b"plain"), record(b"named", source=1, flags=USER),
                record(b"half", flags=CONTINUES),
                record(b"full", uuid=bytes(range(16)), origin=12345, source=2),
                record(b"open", source=2, flags=NO_EOL), record(b"tail", source=1))
    first.store(box.log)
    second = Segment(2, life=2, wall=first.wall + 10**9)
    second.names(b"other")
    second.batch(1, record(b"next", source=1), record(b"last", source=1, flags=CONTINUES))
    second.store(box.log)


@case
def cat_json_of_all(box):
    """cat --json tells all that a record carries, and gives out what lacks its last part."""
    rich_log(box)
    done = box.run("cat", "--json", box.log)
    got = [json.loads(line) for line in done.out.splitlines()]
    equal([one["data"] for one in got],
          ["plain", "named", "full", "open", "tail", "half", "next", "last"])
    equal((got[1]["source"], got[1]["user_flags"]), ("app", 5), "source and flags")
    equal(got[2]["uuid"], bytes(range(16)).hex(), "uuid")
    equal(got[2]["origin_ns"], 12345, "origin_ns")
    equal("source" in got[0], False, "a source where there is none")
    equal((got[3]["source"], got[3]["no_eol"]), ("", True), "a source without a name")
    equal([one["engine"] for one in got],
          ["01" * 16] * 6 + ["02" * 16] * 2, "lives")
    holds(done.err, "2 records lack their last part")


@case
def cat_of_all(box):
    """Records that have no end get one when another source follows."""
    rich_log(box)
    equal(box.run("cat", box.log).out, b"plain\nnamed\nfull\nopen\ntail\nhalf\nnext\nlast")
    equal(box.run("cat", box.log, "--source", "other").out, b"next\nlast")
    equal(box.run("cat", box.log, "--source", "other", "--frame", "len32").out,
          struct.pack("<I4sI4s", 4, b"next", 4, b"last"), "counted")
    equal([json.loads(line)["data"] for line in
           box.run("cat", box.log, "--source", "other", "--json").out.splitlines()],
          ["next", "last"], "JSON of one source")


@case
def verify_of_all(box):
    """verify counts lives, records, and batches that are missing, which is not sound."""
    rich_log(box)
    counts = box.run("verify", "--json", box.log).json
    equal((counts["engines"], counts["records"], counts["ok"]), (2, 8, True), "counts")
    third = Segment(3, life=2)
    third.batch(4, record(b"late"))
    third.store(box.log)
    counts = box.run("verify", "--json", box.log, code=1).json
    equal((counts["ok"], counts["damaged"], counts["missing_batches"]), (False, 0, 2), "counts")
    done = box.run("cat", box.log, code=1)
    holds(done.err, "0 damaged places, 2 batches are missing")


@case
def verify_of_much_damage(box):
    """Of many damaged places the first are named, and the others counted."""
    segment = Segment(1)
    for seq in range(1, 101):
        segment.batch(seq, record(b"%04d" % seq))
    for seq in range(1, 101):
        segment.data = segment.data.replace(b"%04d" % seq, b"####")
    segment.store(box.log)
    out = box.run("verify", box.log, code=1).out
    equal(out.count(b"damaged: segment"), 64, "places that are named")
    holds(out, b"damaged: and 36 more places")
    equal(box.run("cat", box.log, code=1).err.count("damaged: segment"), 64, "the same by cat")


@case
def reading_refused(box):
    """A log that cannot be read is named with the reason; code 1."""
    rich_log(box)
    for words in (("cat", box.log), ("verify", box.log)):
        done = box.run(*words, code=1, env=refusing("pread"))
        holds(done.err, "cannot read", box.log, os.strerror(errno.EIO))


@case
def follow_refused(box):
    """A log that cannot be watched is named with the reason; code 1."""
    rich_log(box)
    for call in ("inotify_init1", "inotify_add_watch", "ppoll"):
        done = box.run("cat", "--follow", box.log, code=1, env=refusing(call))
        holds(done.err, "cannot watch", box.log)


@case
def follow_until_closed(box):
    """--follow ends when nobody reads any more, and with SIGTERM, in peace."""
    rich_log(box)
    run = box.start("cat", "--follow", box.log)
    read_until(run.stdout, 20)
    run.send_signal(signal.SIGTERM)
    end(run, 0)
    run = box.start("cat", "--follow", box.log)
    read_until(run.stdout, 20)
    run.stdout.close()
    run.stdout = None
    more = Segment(3, life=3, wall=1_800_000_000_000_000_000)
    more.batch(1, record(b"x"))
    more.store(box.log)
    run.wait(WAIT)
    equal(run.stderr.read(), b"", "standard error")


@case
def follow_with_a_signal_behind(box):
    """A signal that came while records were written ends --follow as well."""
    rich_log(box)
    run = subprocess.Popen(["sh", "-c", 'kill -TERM $$; exec "$0" cat --follow "$1"', box.weir,
                            box.log], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=box.env,
                           preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK,
                                                                     {signal.SIGTERM}))
    equal(run.communicate(timeout=WAIT)[0].startswith(b"plain\n"), True, "what was written")
    equal(run.returncode, 0, "code")


@case
def slow_descriptor(box):
    """Output that would block is waited for, and every byte arrives."""
    segment = Segment(1)
    lines = [b"%07d" % i for i in range(40000)]
    segment.batch(1, *[record(line) for line in lines])
    segment.store(box.log)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    run = box.start("cat", box.log, stdout=writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        equal(pipe.read(), b"".join(line + b"\n" for line in lines), "what came")
    end(run, 0)


@case
def ingest_without_descriptors(box):
    """Without descriptors ingest says which it lacks; code 1."""
    for nth in (1, 2):
        holds(box.run("ingest", "--sink", "null:", code=1, env=refusing(f"eventfd:{nth}")).err,
              "cannot make an eventfd", os.strerror(errno.EMFILE))


@case
def ingest_without_threads(box):
    """A thread that cannot be started is named, and none is left behind."""
    done = box.run("ingest", "--sink", "null:", stdin=b"x\n", code=3,
                   env=refusing("pthread_create:1"))
    holds(done.err, "cannot start with sink null:")
    for nth in (2, 3):
        done = box.run("ingest", "--sink", "null:", stdin=b"x\n", code=1,
                       env=refusing(f"pthread_create:{nth}"))
        holds(done.err, "cannot start a thread", os.strerror(errno.EMFILE))


@case
def ingest_deaf(box):
    """When signals cannot be heard it says so, and ingests all the same."""
    done = box.run("ingest", "--json", "--sink", "null:", stdin=b"a\nb\n",
                   env=refusing("signalfd"))
    holds(done.err, "signals cannot be heard")
    equal(done.json["delivered"], 2, "delivered")


@case
def names_from_lists(box):
    """A list of inputs may be standard input, have empty lines, and end without a line feed."""
    box.file("a", b"1\n")
    box.file("b", b"2\n")
    summary = box.ingest("--files-from", "-", stdin=b"\na\n\nb")
    equal((summary["inputs"], summary["records"]), (2, 2), "inputs and records")
    holds(box.run("ingest", "--sink", "null:", "--files-from", "absent", code=1).err,
          "cannot open 'absent'", "No such file")
    equal(box.ingest("--files-from", box.file("none", b""))["inputs"], 0, "inputs of no line")


@case
def long_names(box):
    """Of a name that is longer than a source's may be, the end is kept."""
    folder = "d" * 200
    (box.folder / folder).mkdir()
    path = box.file(f"{folder}/{'e' * 100}", b"x\n")
    box.ingest(path)
    name = json.loads(box.cat("--json"))["source"]
    equal(path.endswith(name) and 200 <= len(name) < len(path), True, "the end of the path")


def on_terminal(box, *words, wanted, finish):
    """Runs with standard error on a terminal until it has shown @wanted. All that was shown."""
    ours, theirs = pty.openpty()
    run = box.start("ingest", "--sink", "null:", *words, stderr=theirs)
    os.close(theirs)
    shown = b""
    run.stdin.write(b"one\ntwo\n")
    while wanted not in shown:
        shown += os.read(ours, 4096)
    finish(run)
    try:
        while more := os.read(ours, 4096):
            shown += more
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    equal(run.wait(WAIT), 0, "code")
    return shown


@case
def progress(box):
    """On a terminal the progress is shown, and taken away at the end."""
    shown = on_terminal(box, wanted=b"2 records, ", finish=lambda run: run.stdin.close())
    holds(shown, b"\r2 records, ", b"delivered, ", b"\r\033[K", b"2 records")


@case
def no_progress(box):
    """With --no-progress or --quiet a terminal is shown none."""
    for flag in ("--no-progress", "--quiet"):
        ours, theirs = pty.openpty()
        run = box.start("ingest", "--sink", "null:", flag, "--json", stderr=theirs)
        os.close(theirs)
        run.stdin.write(b"one\n")
        try:
            run.wait(1.3)
        except subprocess.TimeoutExpired:
            pass
        run.stdin.close()
        run.stdin = None
        equal(run.wait(WAIT), 0, "code")
        os.set_blocking(ours, False)
        try:
            equal(os.read(ours, 4096), b"", "what was shown")
        except OSError:  # nothing, and the other end is closed
            pass
        os.close(ours)


@case
def sigterm_within_a_long_line(box):
    """A line that SIGTERM falls into is read to its end, as long as it keeps coming."""
    run = box.start("ingest", "--json", "--sink", f"file:{box.log}")
    line = b"z" * 3_000_000 + b"\n"

    def flood():
        try:
            for _ in range(40):  # no more than that, should nobody come to stop it
                for at in range(0, len(line), 65536):
                    run.stdin.write(line[at:at + 65536])
                    time.sleep(0.001)
        except (OSError, ValueError):  # nobody reads any more, or it was closed
            pass

    flooding = threading.Thread(target=flood, daemon=True)
    flooding.start()
    until(lambda: os.path.isdir(box.log) and
          any(entry.stat().st_size > 10000 for entry in os.scandir(box.log)), "delivery")
    run.send_signal(signal.SIGTERM)
    out = run.stdout.read()
    equal(run.wait(WAIT), 0, "code")
    run.stdin.close()
    flooding.join(WAIT)
    got = box.cat()
    equal(set(got.rstrip(b"\n").split(b"\n")) <= {line[:-1], got.rsplit(b"\n", 1)[-1]}, True,
          "lines of one kind")
    equal(json.loads(out)["not_accepted"], 0, "not_accepted")


@case
def summary_of_framed_output(box):
    """With options of fd:1 the summary stays out of the records, with another descriptor it is told."""
    done = box.run("ingest", "--json", "--sink", "fd:1?frame=nul", stdin=b"x\n")
    equal(done.out, b"x\0")
    equal(json.loads(done.err)["delivered"], 1, "delivered")
    with open(box.folder / "out", "wb") as out:
        os.dup2(out.fileno(), 12)
    done = box.run("ingest", "--json", "--sink", "fd:12", stdin=b"x\n", pass_fds=(12,))
    os.close(12)
    equal(done.json["delivered"], 1, "delivered")


@case
def nobody_to_tell(box):
    """With standard error closed a failure is told by the code alone."""
    box.shell('"$W" nonsense 2>&-', 2)


@case
def far_from_any_word(box):
    """A word that is near to none is answered with where the words are listed."""
    holds(box.run("qqqqqqqqqqqqq", code=2).err, "weir help")
    holds(box.run("help", "qqqqqqqqqqqqq", code=2).err, "`weir help` lists them")
    box.run("help", "cat", "cat", code=2)
    box.run("help", "--json", code=2)
    equal(box.run("-h").out, box.run("help").out, "-h")
    equal(box.run("-V").out, box.run("version").out, "-V")


@case
def too_many_words(box):
    """The simulator is not started with more words than it may have."""
    words = [word for _ in range(40) for word in ("--off", "kill")]
    holds(box.run("sim", *words, code=2).err, "too many words")
    holds(box.run("sim", *words[:61], "--quiet", "--stop", code=2).err, "too many words")


@case
def simulator_elsewhere(box):
    """The simulator is found beside the command, or where it is installed, and missed by name."""
    for place in ("bin", "libexec/weir"):
        (box.folder / place).mkdir(parents=True)
    own = str(box.folder / "bin" / "weir")
    shutil.copy(box.weir, own)
    box.weir = own
    holds(box.run("sim", code=1).err, "libexec/weir", "No such file")
    script = b'#!/bin/sh\necho "$0 $*"\n'
    os.chmod(box.file("libexec/weir/weir-sim", script), 0o755)
    holds(box.run("sim", "--seed", "7").out, b"--seed 7")
    os.chmod(box.file("bin/weir-sim", script), 0o755)
    holds(box.run("sim", "--seed", "8").out, b"bin/weir-sim --seed 8")
    holds(box.run("sim", code=1, env=refusing("readlink")).err, "libexec/weir")


@case
def suite_elsewhere(box):
    """The bench suite is found beside the command, or where it is installed, and missed by name."""
    for place in ("bin/bench", "libexec/weir/bench"):
        (box.folder / place).mkdir(parents=True)
    own = str(box.folder / "bin" / "weir")
    shutil.copy(box.weir, own)
    box.weir = own
    holds(box.run("bench", code=1).err, "libexec/weir", "No such file")
    script = b'#!/bin/sh\necho "$0 $*"\n'
    os.chmod(box.file("libexec/weir/bench/run", script), 0o755)
    holds(box.run("bench", "--quick", "trickle").out, b"libexec/weir/bench/run --quick trickle")
    os.chmod(box.file("bin/bench/run", script), 0o755)
    holds(box.run("bench", "--blocks=3", "push", "tail").out, b"bin/bench/run --blocks 3 push tail")


@case
def verify_told(box):
    """Results that cannot be written make cat and verify end with 1."""
    rich_log(box)
    for words in (("verify", box.log), ("verify", "--json", box.log), ("doctor",), ("config",)):
        with open("/dev/full", "wb") as full:
            run = box.start(*words, stdout=full)
            holds(end(run, 1).err, "No space left on device")


@case
def parts_at_a_change_of_life(box):
    """What a life left unfinished keeps the source and the time that it had in that life."""
    first = Segment(1)
    first.names(b"app")
    first.batch(1, record(b"whole", source=1))
    first.batch(2, record(b"half", source=1, flags=CONTINUES))
    first.store(box.log)
    second = Segment(2, life=2, wall=first.wall + 10**9)
    second.names(b"other")
    second.batch(1, record(b"next", source=1))
    second.store(box.log)
    equal(box.cat(), b"whole\nhalf\nnext\n", "the line is ended before another source")
    half = json.loads(box.cat("--json").splitlines()[1])
    equal((half["data"], half["source"], half["seq"], half["engine"]),
          ("half", "app", 2, "01" * 16), "the unfinished record")
    equal(half["time"][:10], "2023-11-14", "its time")


@case
def base64_in_json(box):
    """Bytes that are not UTF-8 come as base64 under a key of their own."""
    segment = Segment(1)
    segment.batch(1, record(b"\xff\xfe"))
    segment.store(box.log)
    equal(base64.b64decode(json.loads(box.cat("--json"))["data_base64"]), b"\xff\xfe", "data")


sys.exit(main())
