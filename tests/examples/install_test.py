#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""install_test.py ROOT WORK - weir as others meet it: installed, static, as a subproject. TAP.

Installs into a prefix below WORK, builds the examples against it by pkg-config alone, shared and
static, and once more with weir as a meson subproject.
"""
import os
import shutil
import subprocess
import sys
import tempfile

ROOT, WORK = sys.argv[1], sys.argv[2]
SOURCE = os.path.join(ROOT, "tests", "examples")
CC, CXX = os.environ.get("CC", "cc"), os.environ.get("CXX", "c++")
EXAMPLES = {
    "hello": ("hello.c", "hello 0\nhello 1\nhello 2\n"),
    "custom_sink": ("custom_sink.c", "1000 records, 10000 bytes, in batches\n"),
    "own_loop": ("own_loop.c", "250 records\n"),
    "cpp": ("cpp.cc", "4000 of 4000 records\n"),
}
SUBPROJECT = """project('host', 'c', version: '1', default_options: ['c_std=c99'])
weir = dependency('weir', default_options: ['default_library={0}'])
hello = executable('hello', 'hello.c', dependencies: weir)
test('hello', hello)
"""
number = failures = 0


def report(good, name, text="", skip=""):
    global number, failures
    number += 1
    failures += not good
    if not good:
        print("\n".join("# " + line for line in text.splitlines()[-25:]))
    print(f"{'ok' if good else 'not ok'} {number} {name}{' # SKIP ' + skip if skip else ''}",
          flush=True)
    return good


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False, timeout=500, **options)
    return done.returncode == 0, done.stdout


def pkg_config(environment, *arguments):
    good, text = run("pkg-config", *arguments, env=environment)
    return text.split() if good else None


def install(place):
    """Builds and installs into place/prefix. Returns whether that went well."""
    build, prefix = os.path.join(place, "build"), os.path.join(place, "prefix")
    steps = (["meson", "setup", build, ROOT, "--prefix", prefix, "--libdir", "lib",
              "-Dtests=disabled", "-Dbenches=disabled"],
             ["ninja", "-C", build], ["meson", "install", "-C", build, "--no-rebuild"])
    for step in steps:
        good, text = run(*step)
        if not good:
            return report(False, "meson install into a prefix", text)
    return report(True, "meson install into a prefix")


def check_files(prefix):
    headers = ("weir", "config", "sink", "stats", "log", "record", "export", "version")
    files = [f"include/weir/{name}.h" for name in headers]
    files += ["bin/weir", "lib/libweir.so", "lib/libweir.so.0", "lib/libweir.a",
              "lib/pkgconfig/weir.pc"]
    if shutil.which("scdoc"):
        files += ["share/man/man1/weir.1", "share/man/man3/weir.3", "share/man/man5/weir-log.5"]
    for name in files:
        report(os.path.exists(os.path.join(prefix, name)), f"{name} is installed")
    good, text = run("readelf", "-d", os.path.join(prefix, "lib/libweir.so"))
    report(good and "libweir.so.0]" in text, "the soname is libweir.so.0", text)
    needed = sorted(line.split("[")[1].split("]")[0] for line in text.splitlines()
                    if "NEEDED" in line)
    strange = [name for name in needed if not name.startswith(("libc.", "liburcu", "ld-linux"))]
    report(not strange, "the library needs nothing but libc and liburcu", " ".join(needed))
    report("NODELETE" in text, "the library stays when it is unloaded", text)


def build_and_run(place, environment, name, static):
    source, says = EXAMPLES[name]
    kind = "static" if static else "shared"
    label = f"{name} builds and runs by pkg-config alone, {kind}"
    cpp = source.endswith(".cc")
    if cpp and not shutil.which(CXX.split()[0]):
        return report(True, label, skip="no C++ compiler")
    extra = ["--static"] if static else []
    flags = pkg_config(environment, *extra, "--cflags", "--libs", "weir")
    if flags is None:
        return report(False, label, "pkg-config does not know weir")
    program = os.path.join(place, f"{name}-{kind}")
    command = (CXX.split() + ["-std=c++11"]) if cpp else (CC.split() + ["-std=c99"])
    # The example's own threads are its own business.
    command += ["-Wall", "-Wextra", "-Werror", os.path.join(SOURCE, source), "-o", program]
    command += (["-static"] if static else []) + flags + (["-pthread"] if cpp else [])
    good, text = run(*command, env=environment)
    if not good:
        return report(False, label, " ".join(command) + "\n" + text)
    good, text = run(program, env=environment)
    return report(good and text == says, label, f"it said {text!r}")


def simulate(place, prefix, environment):
    """A sink of one's own against the installed simulator, as README shows it."""
    plugin = os.path.join(place, "mine.so")
    source = os.path.join(ROOT, "tests", "sim", "plugin.c")
    good, text = run(*CC.split(), "-shared", "-fPIC", source, "-o", plugin,
                     *(pkg_config(environment, "--cflags", "weir") or []), env=environment)
    report(good, "a sink in a shared object is built by pkg-config alone", text)
    for name, holds in (("plugin_good", True), ("plugin_early", False)):
        good, text = run(os.path.join(prefix, "bin", "weir"), "sim", "--seed", "1..9", "--sink-so",
                         f"mine.so:{name}", "--minimise", env=environment, cwd=place)
        report(good == holds and "9 seeds," in text and ("shrunk in" in text) != holds,
               "the installed simulator holds a sink of one's own to its contract: one that "
               + ("keeps it" if holds else "breaks it, shrunk to a short command"), text)


def subproject(place, library):
    host = os.path.join(place, "host-" + library)
    os.makedirs(os.path.join(host, "subprojects"))
    os.symlink(ROOT, os.path.join(host, "subprojects", "weir"))
    shutil.copy(os.path.join(SOURCE, "hello.c"), host)
    with open(os.path.join(host, "meson.build"), "w", encoding="utf-8") as file:
        file.write(SUBPROJECT.replace("{0}", library))
    label = f"weir is a meson subproject ({library})"
    build = os.path.join(host, "build")
    good, text = run("meson", "setup", build, host)
    if good:
        good, text = run("ninja", "-C", build, "hello")
    if good:
        good, text = run(os.path.join(build, "hello"))
        good = good and text == EXAMPLES["hello"][1]
    report(good, label, text)


def main():
    with tempfile.TemporaryDirectory(prefix="install-", dir=WORK) as place:
        prefix = os.path.join(place, "prefix")
        if install(place):
            environment = dict(os.environ, LD_LIBRARY_PATH=os.path.join(prefix, "lib"))
            old = os.environ.get("PKG_CONFIG_PATH")
            environment["PKG_CONFIG_PATH"] = os.path.join(prefix, "lib", "pkgconfig") + (
                ":" + old if old else "")
            check_files(prefix)
            for static in (False, True):
                for name in EXAMPLES:
                    build_and_run(place, environment, name, static)
            good, text = run(os.path.join(prefix, "bin", "weir"), "version", env=environment)
            report(good and "0." in text, "the installed command runs", text)
            simulate(place, prefix, environment)
        subproject(place, "both")
    print(f"1..{number}")
    return 1 if failures else 0


sys.exit(main())
