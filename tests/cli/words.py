#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Flags, settings, messages and help."""
import json
import os
import shutil
import subprocess
import sys

from cases import Skip, case, end, equal, holds, main, until


def refused(box, *words, parts=(), code=2, env=None):
    """@words end with @code and a single message that holds @parts."""
    done = box.run(*words, code=code, env=env)
    equal(done.out, b"", "standard output")
    holds(done.err, *parts)
    equal(done.err.startswith("weir"), True, "a message that begins with weir")
    return done


@case
def no_command(box):
    """No command is a usage error."""
    refused(box, parts=("weir help",))


@case
def unknown_command(box):
    """An unknown command is named with the nearest one."""
    refused(box, "ingset", parts=("'ingset'", "'ingest'"))
    refused(box, "xyzzy", parts=("xyzzy",))


@case
def unknown_flag(box):
    """An unknown flag is named with the nearest one."""
    refused(box, "ingest", "--treshold", "3", parts=("--treshold", "'--threshold'"))
    refused(box, "ingest", "--ring_byte=3", parts=("--ring_byte", "'--ring-bytes'"))
    refused(box, "cat", "--sinec", "1", parts=("--sinec", "'--since'"))
    refused(box, "ingest", "-x", parts=("'-x'",))
    refused(box, "verify", "--threshold", "3", parts=("--threshold",))


@case
def value_missing(box):
    """A flag without its value is named."""
    refused(box, "ingest", "--threshold", parts=("--threshold needs a value",))
    refused(box, "ingest", "--sink", parts=("--sink needs a value",))


@case
def value_unwanted(box):
    """A flag that takes no value is named."""
    refused(box, "ingest", "--json=1", parts=("--json takes no value",))


@case
def threshold_zero(box):
    """A threshold of 0 is refused, naming key, value and what would be right."""
    refused(box, "ingest", "--threshold", "0", parts=("threshold", "'0'", "off"))


@case
def ring_of_three_bytes(box):
    """A ring of 3 bytes is refused, naming key, value and range."""
    refused(box, "ingest", "--ring-bytes", "3", parts=("ring_bytes", "'3'", "64KiB"))


@case
def bad_values(box):
    """Malformed values are refused, naming key and value."""
    for key, value in (("threshold", "many"), ("threshold", "-1"), ("threshold", "99999999999999999999"),
                       ("deadline", "5"), ("deadline", "fast"), ("ring_bytes", "65537"),
                       ("ring_bytes", "1XiB"), ("pressure", "101"), ("full", "maybe"),
                       ("timer_mode", "onn"), ("order", ""), ("flusher_nice", "99")):
        refused(box, "ingest", f"--{key}={value}", parts=(key, value))


@case
def bad_choice(box):
    """A word that is nearly right is answered with the right one."""
    refused(box, "ingest", "--timer-mode", "shadwo", parts=("timer_mode", "shadwo", "shadow"))


@case
def record_max_too_large(box):
    """A record_max above a quarter of a ring is refused, naming both."""
    refused(box, "ingest", "--ring-bytes", "64KiB", "--record-max", "32KiB",
            parts=("record_max", "ring_bytes"))


@case
def unknown_scheme(box):
    """A sink of unknown scheme is named with the known ones."""
    done = refused(box, "ingest", "--sink", "fiel:/x", parts=("fiel:/x", "file"))
    holds(done.err, "null")
    refused(box, "ingest", "--sink", "nothing", parts=("nothing",))


@case
def unknown_sink_option(box):
    """A sink's unknown option and a bad value are named."""
    refused(box, "ingest", "--sink", f"file:{box.log}?snyc=batch", parts=("snyc", "sync"))
    refused(box, "ingest", "--sink", f"file:{box.log}?sync=always", parts=("always",))
    refused(box, "ingest", "--sink", "fd:1?frame=words", parts=("words",))


@case
def closed_descriptor(box):
    """A sink on a descriptor that is not open is refused."""
    done = box.run("ingest", "--sink", "fd:77", code=None)
    equal(done.code in (2, 3), True, "code 2 or 3")
    holds(done.err, "77")


@case
def second_writer(box):
    """A second writer of a log is refused, naming the log; the first goes on."""
    run = box.start("ingest", "--json", "--sink", f"file:{box.log}", "--threshold", 1)
    run.stdin.write(b"first\n")
    until(lambda: os.path.isdir(box.log) and box.run("cat", box.log, code=None).out, "writing")
    refused(box, "ingest", "--sink", f"file:{box.log}", code=3, parts=(box.log,))
    run.stdin.write(b"second\n")
    run.stdin.close()
    run.stdin = None
    equal(end(run, 0).json["delivered"], 2, "delivered")
    equal(box.cat(), b"first\nsecond\n")


@case
def under_a_file(box):
    """A log below a file cannot be made: a message with the path and the reason, code 3."""
    path = box.file("file", b"")
    refused(box, "ingest", "--sink", f"file:{path}/log", code=3, parts=(path, "Not a directory"))


@case
def unwritable(box):
    """A log in a folder that may not be written is refused with the reason, code 3."""
    nobody = {}
    if os.geteuid() == 0:
        nobody = {"user": 65534, "group": 65534, "extra_groups": []}
        os.chmod(box.folder, 0o755)
    os.mkdir(box.folder / "locked", 0o555)
    try:
        done = box.run("ingest", "--sink", f"file:{box.folder}/locked/log", code=None, **nobody)
    except PermissionError:
        raise Skip("another user may not run the command where it lies") from None
    equal(done.code, 3, "the code")
    holds(done.err, "locked", "Permission denied")


@case
def bad_frame(box):
    """An unknown frame is refused with the known ones."""
    refused(box, "ingest", "--frame", "csv", parts=("csv", "lines", "len32", "nul"))
    refused(box, "cat", box.log, "--frame", "csv", parts=("csv", "lines", "len32", "nul"))


@case
def bad_producers(box):
    """A number of producers that makes no sense is refused."""
    for number in ("0", "-1", "two", "99999", "4x"):
        refused(box, "ingest", "--producers", number, parts=("producers", number))


def config(box, *words, env=None):
    return box.run("config", "--json", *words, env=env).json


def setting(box, key, *words, env=None):
    row = config(box, *words, env=env)[key]
    return row["value"], row["origin"]


@case
def default_origin(box):
    """A value that nobody set is a default."""
    equal(setting(box, "threshold"), ("4096", "default"))


@case
def preset_origin(box):
    """A preset's values say which preset."""
    equal(setting(box, "threshold", "--preset", "latency"), ("256", "preset latency"))
    equal(setting(box, "close_timeout", "--preset", "latency")[1], "default", "another key's origin")


@case
def file_origin(box):
    """A file's values say which line."""
    path = box.file("weir.conf", b"# mine\n\nthreshold = 77\ndeadline=9ms # nine\n")
    equal(setting(box, "threshold", "--config", path), ("77", f"file {path}:3"))
    equal(setting(box, "deadline", "--config", path), ("9ms", f"file {path}:4"))


@case
def preset_in_a_file(box):
    """A preset may stand in a file; its values say which file."""
    path = box.file("weir.conf", b"preset = latency\ndeadline = 9ms\n")
    equal(setting(box, "threshold", "--config", path), ("256", f"file {path}"))
    equal(setting(box, "deadline", "--config", path), ("9ms", f"file {path}:2"))


@case
def environment_alias(box):
    """The environment's other names for a key are understood, and named."""
    equal(setting(box, "threshold", env={"WEIR_BATCH_THRESHOLD": "12"}),
          ("12", "environment WEIR_BATCH_THRESHOLD"))
    env = {"MOONSHOT_BATCH_TIME_THRESHOLD_SECONDS": "1.5", "MOONSHOT_ENABLE_TIMER_FLUSH": "no"}
    equal(setting(box, "deadline", "--env", "MOONSHOT", env=env)[0], "1500ms", "deadline")
    equal(setting(box, "timer_mode", "--env", "MOONSHOT", env=env)[0], "off", "timer_mode")


@case
def environment_origin(box):
    """The environment's values say which variable."""
    equal(setting(box, "threshold", env={"WEIR_THRESHOLD": "88"}),
          ("88", "environment WEIR_THRESHOLD"))
    equal(setting(box, "threshold", "--env", "APP", env={"APP_THRESHOLD": "99", "WEIR_THRESHOLD": "1"}),
          ("99", "environment APP_THRESHOLD"))
    equal(setting(box, "threshold", "--no-env", env={"WEIR_THRESHOLD": "88"}), ("4096", "default"))


@case
def flag_origin(box):
    """A flag's values say which flag, spelt either way."""
    equal(setting(box, "ring_bytes", "--ring-bytes", "2MiB"), ("2MiB", "flag --ring_bytes"))
    equal(setting(box, "ring_bytes", "--ring_bytes=2MiB"), ("2MiB", "flag --ring_bytes"))


@case
def precedence(box):
    """Later wins: default, preset, file, environment, flag."""
    path = box.file("weir.conf", b"threshold = 2\n")
    layers = [("--preset", "latency"), ("--config", path)]
    env = {"WEIR_THRESHOLD": "3"}
    equal(setting(box, "threshold", *layers[0])[0], "256", "preset")
    equal(setting(box, "threshold", *layers[1], *layers[0])[0], "2", "file over preset")
    equal(setting(box, "threshold", *layers[0], *layers[1], env=env)[0], "3", "environment over file")
    equal(setting(box, "threshold", "--threshold", "4", *layers[0], *layers[1], env=env)[0], "4",
          "flag over all")
    equal(setting(box, "threshold", "--threshold", "4", "--threshold", "5")[0], "5", "the last flag")


@case
def bad_file(box):
    """A mistake in a file is named with its line and the nearest key."""
    path = box.file("weir.conf", b"threshold = 3\ndaedline = 5ms\n")
    refused(box, "config", "--config", path, parts=(f"{path}:2", "daedline", "deadline"))
    refused(box, "config", "--config", "absent.conf", parts=("absent.conf", "No such file"))


@case
def bad_environment(box):
    """A malformed variable is named."""
    refused(box, "config", env={"WEIR_DEADLINE": "soon"}, parts=("WEIR_DEADLINE", "soon"))


@case
def unknown_preset(box):
    """An unknown preset is named with the nearest one."""
    refused(box, "config", "--preset", "latencyy", parts=("latencyy", "latency"))


@case
def config_is_a_file(box):
    """What config prints is itself a configuration file."""
    printed = box.run("config", "--threshold", "123", "--deadline", "7ms").out
    path = box.file("printed.conf", printed)
    again = config(box, "--config", path)
    equal((again["threshold"]["value"], again["deadline"]["value"]), ("123", "7ms"), "values")
    equal({k: v["value"] for k, v in again.items()},
          {k: v["value"] for k, v in config(box, "--threshold", "123", "--deadline", "7ms").items()},
          "everything")


@case
def config_reaches_the_engine(box):
    """A setting reaches the engine: batches of one record each."""
    summary = box.ingest("--max-batch-records", "1", stdin=b"1\n2\n3\n4\n")
    equal(summary["batches"], 4, "batches")


@case
def seed_presets(box):
    """The presets named after the seed have its numbers."""
    presets = box.run("presets", "--json").json
    wanted = {"seed-default": ("10", "5m"), "seed-high-volume": ("20", "3m"),
              "seed-low-latency": ("5", "1m"), "seed-dev": ("3", "10s")}
    for name, numbers in wanted.items():
        equal((presets[name]["threshold"], presets[name]["deadline"]), numbers, name)


@case
def presets_for_people(box):
    """presets lists every preset, each of them usable."""
    lines = box.run("presets").out.decode().splitlines()
    names = list(box.run("presets", "--json").json)
    equal([line.split()[0] for line in lines], names, "names")
    for name in names:
        box.run("config", "--preset", name)


@case
def help_for_every_key(box):
    """Every key has help with its default, its range and its flag, and is shown by `help`."""
    overview = box.run("help").out.decode()
    for key, row in config(box).items():
        text = box.run("help", key).out.decode()
        holds(text, key, f"default  {row['value']}", "range", f"--{key}", f"WEIR_{key.upper()}")
        equal(box.run("help", key.replace("_", "-")).out.decode(), text, "help by flag")
        holds(overview, key)


@case
def help_for_every_command(box):
    """Every command has help, the same by `help NAME` and `NAME --help`."""
    overview = box.run("help").out.decode()
    for name in ("ingest", "cat", "verify", "doctor", "config", "presets", "sim", "help",
                 "version"):
        text = box.run("help", name).out
        holds(text, f"usage: weir {name}".encode())
        equal(box.run(name, "--help").out, text, f"{name} --help")
        holds(overview, f"  {name}")


@case
def simulator(box):
    """sim gives a seed the same hash twice, counts what failed, and refuses what is no seed."""
    first = box.run("sim", "--seed", "1..3", "--jobs", 2).out
    equal(box.run("sim", "--seed=1..3").out, first)
    holds(first, b"seed 3 hash ", b"3 seeds, 0 failed")
    seen = box.run("sim", "--seed", 2, "--json").json
    equal([one["ok"] for one in seen["results"]], [True])
    holds(box.run("sim", "--kinds").out, b"power-tear")
    refused(box, "sim", "--sed", "1", parts=("sed", "seed"))
    for words in (("--seed", "x"), ("--seed", "3..1"), ("--off", "rain"), ("--jobs", "0"),
                  ("--seed", "1", "2")):
        equal(box.run("sim", *words, code=2).out, b"")


@case
def help_unknown(box):
    """Help for what does not exist names the nearest word."""
    refused(box, "help", "treshold", parts=("treshold", "threshold"))
    refused(box, "help", "verfy", parts=("verfy", "verify"))


@case
def help_by_flag(box):
    """weir --help is weir help, weir --version is weir version."""
    equal(box.run("--help").out, box.run("help").out)
    equal(box.run("--version").out, box.run("version").out)


@case
def version(box):
    """version prints the version, --json more of it."""
    text = box.run("version").out.decode()
    seen = box.run("version", "--json").json
    equal(text, f"weir {seen['version']}\n")
    equal(seen["version"], seen["compiled_with"], "the library's version")


@case
def doctor(box):
    """doctor checks what weir needs, and a record goes through."""
    done = box.run("doctor")
    holds(done.out, b"rseq", b"membarrier", b"cgroup", b"io_uring", b"clock", b"memlock",
          b"a record went through")


@case
def doctor_json(box):
    """doctor --json lists each check with a state, and a remedy unless it is ok."""
    seen = box.run("doctor", "--json").json
    equal(seen["ok"], True, "ok")
    for check in seen["checks"]:
        equal(check["state"] in ("ok", "warn", "fix"), True, check["name"])
        equal(bool(check["remedy"]), check["state"] != "ok", f"the remedy of {check['name']}")


@case
def doctor_without_rseq(box):
    """Without restartable sequences doctor warns, and weir works all the same."""
    env = {"GLIBC_TUNABLES": "glibc.pthread.rseq=0"}
    states = {c["name"]: c["state"] for c in box.run("doctor", "--json", env=env).json["checks"]}
    equal(states["rseq"], "warn", "rseq")
    equal(states["engine"], "ok", "engine")
    summary = box.ingest(stdin=b"a\nb\n", env=env)
    equal(summary["rings_fallback"] > 0, True, "a fallback ring")
    equal(box.cat(), b"a\nb\n")


@case
def operands_after_dashes(box):
    """After -- every word is an operand."""
    box.file("--odd", b"odd\n")
    box.ingest("--", "--odd")
    equal(box.cat("--source", "--odd"), b"odd\n")


@case
def no_operands_wanted(box):
    """Commands without operands refuse them."""
    for command in ("doctor", "version", "presets", "config"):
        refused(box, command, "word", parts=("word",))


@case
def full_output(box):
    """Results that cannot be written end with 1."""
    for command in ("help", "version", "config", "doctor"):
        run = box.start(command, stdout=open("/dev/full", "wb"))
        holds(end(run, 1).err, "No space left on device")


@case
def more_rights_than_the_caller(box):
    """A command that has more rights than its caller takes no setting from the environment."""
    if os.geteuid() != 0:
        raise Skip("only root can give a program more rights")
    if os.statvfs(box.folder).f_flag & os.ST_NOSUID:
        raise Skip("programs in the temporary folder get no rights")
    copy = box.folder / "weir"
    shutil.copy(box.weir, copy)
    if b"__asan_init" in copy.read_bytes():
        raise Skip("a checked build wants to look at itself")
    os.chmod(box.folder, 0o755)
    env = dict(box.env, WEIR_THRESHOLD="7")
    for mode, value in ((0o755, "7"), (0o4755, "4096")):
        os.chmod(copy, mode)
        done = subprocess.run([str(copy), "config", "--json"], user=65534, group=65534, env=env,
                              extra_groups=[], stdout=subprocess.PIPE, check=True)
        equal(json.loads(done.stdout)["threshold"]["value"], value, f"mode {mode:o}")


sys.exit(main())
