#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Triggers, signals and ends of a run."""
import json
import os
import signal
import subprocess
import sys
import time

from cases import case, end, equal, holds, main, read_until, until


def summary_of(err):
    return json.loads(err.splitlines()[-1])


@case
def three_at_once(box):
    """With threshold 3 three lines are one batch, written while the input stays open."""
    run = box.start("ingest", "--json", "--sink", "fd:1", "--threshold", 3, "--deadline", "1h")
    run.stdin.write(b"a\nb\nc\n")
    equal(read_until(run.stdout, 6), b"a\nb\nc\n")
    run.stdin.close()
    run.stdin = None
    summary = summary_of(end(run, 0).err)
    equal(summary["flushes"]["size"], 1, "batches by size")
    equal(summary["batches"], 1, "batches")


@case
def few_by_deadline(box):
    """Fewer lines than the threshold are written when the deadline has come: one batch, one arming of
    the timer, one wake-up."""
    run = box.start("ingest", "--json", "--sink", "fd:1", "--threshold", 10, "--deadline", "300ms")
    run.stdin.write(b"a\nb\nc\n")
    equal(read_until(run.stdout, 6), b"a\nb\nc\n")
    run.stdin.close()
    run.stdin = None
    summary = summary_of(end(run, 0).err)
    equal(summary["flushes"]["deadline"], 1, "batches by deadline")
    equal(summary["batches"], 1, "batches")
    equal(summary["timer_arms"], 1, "timer_arms")
    equal(summary["wakeups_trigger"], 1, "wakeups_trigger")


def at_the_end(box, mode):
    run = box.start("ingest", "--json", "--sink", "fd:1", "--threshold", 10, "--deadline", "50ms",
                    f"--timer-mode={mode}")
    run.stdin.write(b"a\nb\nc\n")
    try:
        run.wait(0.4)
    except subprocess.TimeoutExpired:
        pass
    os.set_blocking(run.stdout.fileno(), False)
    equal(run.stdout.read(), None, "what was written before the end")
    os.set_blocking(run.stdout.fileno(), True)
    run.stdin.close()
    run.stdin = None
    done = end(run, 0)
    equal(done.out, b"a\nb\nc\n")
    return summary_of(done.err)


@case
def timer_off(box):
    """With timer_mode off a few lines are written at the end only."""
    summary = at_the_end(box, "off")
    equal(summary["flushes"]["shutdown"], 1, "batches at the end")
    equal(summary["shadow"]["deadline"], 0, "deadlines in the shadow")


@case
def timer_shadow(box):
    """With timer_mode shadow too, and what the timer would have done is counted."""
    summary = at_the_end(box, "shadow")
    equal(summary["flushes"]["shutdown"], 1, "batches at the end")
    equal(summary["flushes"]["deadline"], 0, "batches by deadline")
    equal(summary["shadow"]["deadline"], 1, "deadlines in the shadow")


@case
def both_triggers(box):
    """Threshold and deadline work side by side in one run."""
    run = box.start("ingest", "--json", "--sink", "fd:1", "--threshold", 3, "--deadline", "200ms")
    run.stdin.write(b"1\n2\n3\n")
    equal(read_until(run.stdout, 6), b"1\n2\n3\n")
    run.stdin.write(b"4\n")
    equal(read_until(run.stdout, 2), b"4\n")
    run.stdin.close()
    run.stdin = None
    flushes = summary_of(end(run, 0).err)["flushes"]
    equal((flushes["size"], flushes["deadline"]), (1, 1), "batches by size and by deadline")


@case
def line_as_it_comes(box):
    """A line that comes in pieces is pushed when its end is there, not before."""
    run = box.start("ingest", "--sink", "fd:1", "--threshold", 1)
    run.stdin.write(b"be")
    run.stdin.write(b"gun")
    run.stdin.write(b" done\nnext")
    equal(read_until(run.stdout, 11), b"begun done\n")
    run.stdin.close()
    run.stdin = None
    equal(end(run, 0).out, b"next")


def terminated(box, number):
    run = box.start("ingest", "--json", "--sink", f"file:{box.log}", "--deadline", "off",
                    "--threshold", "off")
    run.stdin.write(b"one\ntwo\n")
    # The log exists from the start on; that both lines were read shows when the pipe is empty.
    until(lambda: queued(run.stdin) == 0 and os.path.isdir(box.log), "reading")
    run.send_signal(number)
    done = end(run, 0)
    equal(done.json["delivered"], 2, "delivered")
    equal(box.cat(), b"one\ntwo\n")


def queued(pipe):
    import array
    import fcntl
    import termios
    count = array.array("i", [0])
    fcntl.ioctl(pipe.fileno(), termios.FIONREAD, count)
    return count[0]


@case
def sigterm(box):
    """SIGTERM stops reading, what was read is delivered, and the code is 0."""
    terminated(box, signal.SIGTERM)


@case
def sigint(box):
    """SIGINT does the same."""
    terminated(box, signal.SIGINT)


@case
def sigterm_mid_line(box):
    """A line that SIGTERM finds without its end is kept, marked as having none."""
    run = box.start("ingest", "--json", "--sink", f"file:{box.log}")
    run.stdin.write(b"one\nhalf")
    until(lambda: queued(run.stdin) == 0 and os.path.isdir(box.log), "reading")
    run.send_signal(signal.SIGTERM)
    end(run, 0)
    equal(box.cat(), b"one\nhalf")


@case
def sigterm_while_flooded(box):
    """SIGTERM amid a flood keeps whole lines: what came is a beginning of what was sent."""
    run = box.start("ingest", "--json", "--quiet", "--sink", f"file:{box.log}")
    sent = 0
    os.set_blocking(run.stdin.fileno(), False)
    chunk = b"".join(b"%07d\n" % i for i in range(100000))
    while sent < 5 * len(chunk):
        try:
            at = sent % len(chunk)
            sent += os.write(run.stdin.fileno(), chunk[at:at + 65536])
        except BlockingIOError:
            pass
    run.send_signal(signal.SIGTERM)
    done = end(run, 0)
    got = box.cat()
    equal(got, (chunk * 6)[:len(got)], "the log")
    equal(len(got) % 8, 0, "bytes of a line that was cut")
    equal(done.json["delivered"], len(got) // 8, "delivered")


def stuck(box, *words, **more):
    """A run whose output nobody reads, and that is full."""
    big = box.file("big", b"0123456789abcde\n" * 1_000_000)
    run = box.start("ingest", "--json", "--sink", "fd:1", big, *words, **more)
    # Far more than a pipe and all rings hold; it is stuck when the pipe is full.
    until(lambda: queued(run.stdout) >= 60000, "a full pipe")
    return run


@case
def close_timeout(box):
    """When the sink is stuck the drain ends after close_timeout, with code 4 and exact counts."""
    run = stuck(box, "--close-timeout", "200ms")
    run.send_signal(signal.SIGTERM)
    run.wait(60)
    summary = summary_of(end(run, 4).err)
    equal(summary["exit"], 4, "exit")
    left = summary["dropped_by"]["shutdown"] + summary["pending"]
    equal(summary["accepted"], summary["delivered"] + left, "accepted")
    equal(left > 0, True, "something was left")


@case
def second_signal(box):
    """A second signal abandons the rest at once, with code 4."""
    run = stuck(box, "--close-timeout", "1h")
    run.send_signal(signal.SIGTERM)
    holds(run.stderr.readline(), b"SIGTERM")
    run.send_signal(signal.SIGINT)
    run.wait(60)
    done = end(run, 4)
    holds(done.err, "second signal")
    summary = summary_of(done.err)
    equal(summary["exit"], 4, "exit")
    equal(summary["pending"] > 0, True, "something was left")


@case
def slow_output(box):
    """Output that is read late loses nothing."""
    data = b"0123456789abcde\n" * 300_000
    run = box.start("ingest", "--sink", "fd:1", box.file("input", data))
    until(lambda: queued(run.stdout) >= 60000, "a full pipe")
    equal(end(run, 0).out, data)


@case
def broken_pipe(box):
    """Output that is closed is a broken sink: a message and code 3."""
    run = box.start("ingest", "--sink", "fd:1", "--threshold", 1)
    run.stdout.close()
    run.stdout = open(os.devnull, "rb")
    run.stdin.write(b"x\n")
    run.stdin.close()
    run.stdin = None
    holds(end(run, 3).err, "fd:1", "Broken pipe")


@case
def broken_while_reading(box):
    """A sink that breaks stops the reading of an endless input."""
    run = box.start("ingest", "--sink", "fd:1", stdin=open("/dev/zero", "rb"))
    read_until(run.stdout, 1)
    run.stdout.close()
    run.stdout = open(os.devnull, "rb")
    holds(end(run, 3).err, "Broken pipe")


@case
def full_disk(box):
    """A full device ends in a message that names it, code 3 and exact counts."""
    if not os.path.exists("/dev/full"):
        from cases import Skip
        raise Skip("there is no /dev/full")
    run = box.start("ingest", "--json", "--sink", "fd:1", "--batch-total-timeout", "200ms",
                    box.file("input", b"x\n" * 1000), stdout=open("/dev/full", "wb"))
    done = end(run, 3)
    holds(done.err, "fd:1", "No space left on device")
    summary = summary_of(done.err)
    equal(summary["delivered"], 0, "delivered")
    equal(summary["dropped"], summary["accepted"], "dropped")


@case
def missing_file(box):
    """A file that is not there is named with the reason; the others are ingested; code 1."""
    good = box.file("good", b"kept\n")
    done = box.run("ingest", "--sink", f"file:{box.log}", "absent", good, code=1)
    holds(done.err, "cannot open 'absent': No such file or directory")
    equal(box.cat(), b"kept\n")


@case
def directory_as_input(box):
    """A directory as an input is named with the reason; code 1."""
    (box.folder / "dir").mkdir()
    holds(box.run("ingest", "--sink", "null:", "dir", code=1).err,
          "cannot read 'dir': Is a directory")


@case
def fifo_without_writer(box):
    """A FIFO that nobody writes to can be interrupted."""
    os.mkfifo(box.folder / "fifo")
    run = box.start("ingest", "--json", "--sink", f"file:{box.log}", "fifo")
    until(lambda: os.path.isdir(box.log), "the start")
    run.send_signal(signal.SIGTERM)
    equal(end(run, 0).json["records"], 0, "records")


@case
def fifo(box):
    """A FIFO is read to its end."""
    os.mkfifo(box.folder / "fifo")
    run = box.start("ingest", "--json", "--sink", f"file:{box.log}", "fifo")
    with open(box.folder / "fifo", "wb") as pipe:
        pipe.write(b"through\n")
    end(run, 0)
    equal(box.cat(), b"through\n")


@case
def identity(box):
    """accepted = delivered + dropped + pending, and accepted is what the caller counted."""
    summary = box.ingest(box.file("input", b"r\n" * 54321))
    equal(summary["accepted"], 54321, "accepted")
    equal(summary["records"], 54321, "records")
    equal(summary["delivered"] + summary["dropped"] + summary["pending"], 54321, "the sum")


@case
def summary_for_people(box):
    """The summary for people is on standard error, the records alone on standard output."""
    done = box.run("ingest", "--sink", "fd:1", stdin=b"1\n" * 1234)
    equal(done.out, b"1\n" * 1234)
    holds(done.err, "1,234 records", "1,234 delivered, 0 dropped")


@case
def quiet(box):
    """--quiet says nothing when all went well."""
    equal(box.run("ingest", "--sink", "null:", "--quiet", stdin=b"x\n").err, "")


@case
def quiet_trouble(box):
    """--quiet still says what went wrong."""
    holds(box.run("ingest", "--sink", "null:", "--quiet", "absent", code=1).err, "absent")


@case
def json_beside_records(box):
    """With fd:1 the JSON summary is on standard error, else on standard output."""
    done = box.run("ingest", "--json", "--sink", "fd:1", stdin=b"x\n")
    equal(done.out, b"x\n")
    equal(json.loads(done.err)["sink"], "fd:1", "sink")
    done = box.run("ingest", "--json", "--sink", "null:", stdin=b"x\n")
    equal(done.json["sink"], "null:", "sink")
    equal(done.err, "", "standard error")


@case
def closed_output(box):
    """With standard output closed nothing is written into another file by mistake."""
    holds(box.shell('"$W" version >&-', 1).err, "Bad file descriptor")
    done = box.shell('echo x | "$W" ingest --sink fd:1 >&-', 3)
    holds(done.err, "fd:1")
    box.shell('echo kept | "$W" ingest --json --sink file:log >&-', 1)
    equal(box.cat(), b"kept\n")


@case
def closed_input(box):
    """With standard input closed the failure is named; code 1."""
    holds(box.shell('"$W" ingest --sink null: <&-', 1).err, "cannot read '-'", "Bad file descriptor")


@case
def killed(box):
    """What was delivered before a SIGKILL is in the log, and a new run appends to it."""
    run = box.start("ingest", "--sink", f"file:{box.log}", "--threshold", 1)
    run.stdin.write(b"before\n")
    until(lambda: os.path.isdir(box.log) and box.run("cat", box.log, code=None).out, "delivery")
    run.kill()
    run.communicate()
    box.ingest(stdin=b"after\n")
    equal(box.cat(), b"before\nafter\n")
    equal(box.run("verify", box.log, "--json").json["ok"], True, "ok")


@case
def broken_while_silent(box):
    """A sink that breaks ends the run although the input is open, and silent."""
    run = box.start("ingest", "--sink", "fd:1", "--threshold", 1)
    run.stdout.close()
    run.stdout = open(os.devnull, "rb")
    run.stdin.write(b"x\n")
    run.stdin.flush()
    equal(run.wait(60), 3, "the code")


@case
def expired_while_silent(box):
    """So do records whose time for all attempts has passed."""
    if not os.path.exists("/dev/full"):
        from cases import Skip
        raise Skip("there is no /dev/full")
    run = box.start("ingest", "--json", "--sink", "fd:1", "--threshold", 1,
                    "--batch-total-timeout", "100ms", stdout=open("/dev/full", "wb"))
    run.stdin.write(b"x\n")
    run.stdin.flush()
    equal(run.wait(60), 3, "the code")


def stands_still(run):
    """Has no thread of it done anything for a while?"""
    def used():
        with open(f"/proc/{run.pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[11:13]

    before = used()
    time.sleep(0.2)
    return used() == before


@case
def not_accepted(box):
    """What was read and found no room until the end is told as not accepted."""
    # On one CPU: a push that moves to another may find room there.
    cpu = min(os.sched_getaffinity(0))
    run = stuck(box, "--close-timeout", "100ms",
                preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
    until(lambda: stands_still(run), "rings that are full as well")
    run.send_signal(signal.SIGTERM)
    run.wait(60)
    equal(summary_of(end(run, 4).err)["not_accepted"] > 0, True, "something was not accepted")


@case
def a_loop_of_its_own(box):
    """Settings that are shared with a host whose loop is its own do not stop the command."""
    box.env["WEIR_LOOP"] = "own"
    run = box.start("ingest", "--sink", "fd:1")
    run.stdin.write(b"a\n")
    run.stdin.flush()
    until(lambda: queued(run.stdout) >= 2, "a line before the end of the input")
    equal(end(run, 0).out, b"a\n")


sys.exit(main())
