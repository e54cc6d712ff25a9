# SPDX-License-Identifier: Apache-2.0
"""flow.py - reads an object file's code and says where the value of each register may come from.

It knows objdump and x86-64. It does not know which values are of interest to whom. A value is a set
of origins, over all ways that lead to an instruction:

    ?               anything
    &NAME           the address of a symbol of the object, with its offset: &NAME+8
    *NAME+8         what is in memory there
    self            the thread pointer
    tls             an ordinary thread-local variable, or its offset
    self+?          the thread pointer and something else: an address in the thread's block that is
                    no variable of the library's
    entry NAME+8    a line of a switch's table, and
    table NAME+8    where it leads
    =7              a constant
"""
import re
import subprocess

HEAD = re.compile(r"^([0-9a-f]+) <(.+)>:$")
CODE = re.compile(r"^\s*([0-9a-f]+):\t(.*)$")
RELOCATION = re.compile(r"^\s*[0-9a-f]+:\s+R_X86_64_(\S+)\s+(\S+)$")
SECTION = re.compile(r"^Disassembly of section (\S+):")
SYMBOL = re.compile(r"^([\w.$]+?)(?:([+-])0x([0-9a-f]+))?$")
LOCAL = re.compile(r"^([0-9a-f]+) <")
PREFIXES = ("lock", "rep", "repz", "repnz", "notrack", "bnd", "data16", "cs", "xacquire",
            "xrelease", "rex.W", "rex")
MEMORY = re.compile(r"^(%fs:)?(-?0x[0-9a-f]+)?(?:\((%\w+)?(?:,(%\w+))?(?:,(\d))?\))?$")
CLOBBERED = ("rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11")
ARGUMENTS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
UNKNOWN = frozenset("?")
ENDS = ("ret", "retq", "jmp", "ud1", "ud2", "hlt")
NEVER_BACK = ("__stack_chk_fail", "abort", "__assert_fail", "wr_check_failed", "exit", "_exit")

REGISTERS = {}
for _names in ("rax eax ax al ah", "rbx ebx bx bl bh", "rcx ecx cx cl ch", "rdx edx dx dl dh",
               "rsi esi si sil", "rdi edi di dil", "rbp ebp bp bpl", "rsp esp sp spl"):
    for _one in _names.split():
        REGISTERS["%" + _one] = _names.split()[0]
for _n in range(8, 16):
    for _end in ("", "d", "w", "b"):
        REGISTERS[f"%r{_n}{_end}"] = f"r{_n}"

# What reads its last operand only, where that may lie in memory.
READS = re.compile(r"^(cmp|test|bt[wlq]?$|nop|prefetch|call|jmp|push|mul|div|idiv|imul|u?comis|"
                   r"v?u?comis|ldmxcsr|verr|verw|fld|lea|fild|v?ptest)")


class Instruction:
    """One: its prefixes, operation, operands, relocation and where it stands."""
    __slots__ = ("at", "locked", "operation", "operands", "kind", "symbol", "offset", "function",
                 "before", "text")

    def __init__(self, at, text, function):
        self.at, self.text, self.function = at, text, function
        words = text.split("#")[0].split(None, 1)
        self.locked = False
        while words and words[0] in PREFIXES and len(words) > 1:
            self.locked |= words[0] == "lock"
            words = words[1].split(None, 1)
        self.operation = words[0] if words else ""
        self.operands = split(words[1].strip()) if len(words) > 1 else []
        self.kind = self.symbol = None
        self.offset = 0
        self.before = {}

    def relocate(self, kind, symbol):
        match = SYMBOL.match(symbol)
        if not match:
            return
        self.kind, self.symbol = kind, match.group(1)
        self.offset = int((match.group(2) or "+") + (match.group(3) or "0"), 16)
        if kind.startswith(("PC32", "PLT32", "GOTPCREL", "REX_GOTPCREL", "GOTTPOFF")):
            # From the end of the instruction; an immediate behind it lies in between.
            self.offset += 4 + immediate_bytes(self)

    @property
    def name(self):
        return f"{self.symbol}{self.offset:+#x}" if self.offset else self.symbol

    @property
    def is_call(self):
        return self.operation in ("call", "callq")

    @property
    def is_jump(self):
        return self.operation.startswith("j")

    @property
    def is_padding(self):
        return self.operation.startswith("nop") or self.text.split() == ["xchg", "%ax,%ax"]

    @property
    def is_indirect(self):
        return bool(self.operands) and self.operands[0].startswith("*")

    def memory(self, operand):
        """(through fs, displacement, base, index), or None where it is no memory."""
        operand = operand.lstrip("*")
        if operand.startswith("$") or operand.startswith("%") and not operand.startswith("%fs:"):
            return None
        match = MEMORY.match(operand)
        if not match:
            return None
        return (bool(match.group(1)), int(match.group(2) or "0", 16), match.group(3),
                match.group(4))

    def value(self, register):
        return self.before.get(REGISTERS.get(register, register), UNKNOWN)

    def stored(self):
        """The memory operand that it writes to, or None."""
        if not self.operands or READS.match(self.operation) or self.is_jump:
            return None
        if self.operation.startswith(("stos", "movs")) and "%es:" in self.operands[-1]:
            return (False, 0, "%rdi", None)
        return self.memory(self.operands[-1])


def split(text):
    """Operands, at commas that are not in brackets."""
    found, depth, word = [], 0, ""
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            found.append(word)
            word = ""
        else:
            word += letter
    return found + [word]


def immediate_bytes(code):
    if not code.operands or not code.operands[0].startswith("$") or len(code.operands) < 2:
        return 0
    if code.operation[-1] == "b":
        return 1
    number = int(code.operands[0][1:], 16)
    short = code.operation[:3] in ("add", "sub", "and", "xor", "cmp") or code.operation[:2] == "or"
    signed = number - (1 << 64) if number >> 63 else number
    if short and -128 <= signed < 128:
        return 1
    return 2 if code.operation[-1] == "w" else 4


def base_name(name):
    """wr_push.cold, wr_push.part.0 and wr_push.isra.0 are wr_push."""
    return re.sub(r"\.(cold|part|isra|constprop|lto_priv)(\.\d+)?", "", name)


class Object:
    """The code of one object file, with what is in the registers before each instruction."""

    def __init__(self, path):
        self.path, self.code, self.index, self.begins = path, [], {}, {}
        self.entries, self.tables, self.own = [], {}, set()
        self.read()
        self.read_tables()
        self.read_own()
        self.follow()

    def read(self):
        text = subprocess.run(["objdump", "-dr", "--no-show-raw-insn", self.path],
                              capture_output=True, text=True, check=True).stdout
        section = function = ""
        for line in text.splitlines():
            match = SECTION.match(line)
            if match:
                section = match.group(1)
                continue
            match = HEAD.match(line)
            if match:
                function = match.group(2)
                at = (section, int(match.group(1), 16))
                self.begins.setdefault(section, []).append((at[1], function))
                # The rest is jumped to: out of a function, or by the kernel out of a section.
                if ".cold" not in function and not function.startswith("."):
                    self.entries.append(at)
                continue
            match = RELOCATION.match(line)
            if match and self.code:
                self.code[-1].relocate(match.group(1), match.group(2))
                continue
            match = CODE.match(line)
            if match:
                at = (section, int(match.group(1), 16))
                self.index[at] = len(self.code)
                self.code.append(Instruction(at, match.group(2), function))

    def read_own(self):
        """Names of functions that no other object knows."""
        text = subprocess.run(["objdump", "-t", self.path], capture_output=True, text=True,
                              check=True).stdout
        self.own = {base_name(match.group(2)) for match in re.finditer(
            r"^[0-9a-f]+ (l).{6} \.text\S*\s+[0-9a-f]+ (\S+)$", text, re.MULTILINE)}
        self.own |= {name for names in self.begins.values() for _, name in names if name[0] == "."}

    def read_tables(self):
        """What constant data leads to: {(section, offset): place}."""
        text = subprocess.run(["objdump", "-r", self.path], capture_output=True, text=True,
                              check=True).stdout
        section = ""
        for line in text.splitlines():
            match = re.match(r"^RELOCATION RECORDS FOR \[(\.rodata\S*)\]", line)
            section = match.group(1) if match else "" if line.startswith("RELOC") else section
            match = re.match(r"^([0-9a-f]+) R_X86_64_PC32\s+(\.text\S*?)([+-]0x[0-9a-f]+)?$", line)
            if section and match:
                self.tables[(section, int(match.group(1), 16))] = (
                    match.group(2), int(match.group(3) or "0", 16))

    def cases(self, code, origins):
        """Where a jump through a table of this object may lead."""
        found = set()
        for origin in origins:
            match = SYMBOL.match(origin[6:]) if origin.startswith("table ") else None
            if not match:
                continue
            begin = int((match.group(2) or "+") + (match.group(3) or "0"), 16)
            line = begin
            while (match.group(1), line) in self.tables:
                section, offset = self.tables[(match.group(1), line)]
                place = (section, offset - (line - begin))
                if place not in self.index or \
                        self.code[self.index[place]].function != code.function:
                    break
                found.add(place)
                line += 4
        return found

    def owner(self, section, offset):
        """The function that a place of a section is in."""
        found = None
        for begin, name in sorted(self.begins.get(section, [])):
            if begin <= offset:
                found = name
        return found

    def target(self, code):
        """Where a direct jump or call leads: a place of this object, or the name of a symbol."""
        if code.symbol:
            if code.symbol.startswith("."):
                return (code.symbol, code.offset)
            for section, names in self.begins.items():
                for begin, name in names:
                    if name == code.symbol:
                        return (section, begin + code.offset)
            return code.symbol
        match = LOCAL.match(" ".join(code.operands))
        return (code.at[0], int(match.group(1), 16)) if match else None

    def follow(self):
        """Spreads origins until nothing is added."""
        left = []
        for at in self.entries:
            if at in self.index:
                self.join(self.index[at], {}, left)
        for number in range(len(self.code)): # what only a table or the kernel leads to
            self.run(left)
            if not self.code[number].before and not self.code[number].is_padding:
                self.join(number, {}, left)
        self.run(left)

    def join(self, number, state, left):
        code = self.code[number]
        if not code.before:
            code.before = dict(state) or {"": UNKNOWN}
            left.append(number)
            return
        changed = False
        for name in set(code.before) | set(state):
            have = code.before.get(name, UNKNOWN)
            both = have | state.get(name, UNKNOWN)
            if len(both) > 12:
                both = UNKNOWN | (both & {"self", "self+?"})
            if both != have:
                code.before[name] = both
                changed = True
        if changed:
            left.append(number)

    def run(self, left):
        while left:
            number = left.pop()
            code = self.code[number]
            after = self.step(code)
            if code.is_jump and not code.is_indirect:
                place = self.target(code)
                if place in self.index:
                    self.join(self.index[place], after, left)
            if code.is_jump and code.is_indirect:
                for place in self.cases(code, code.value(code.operands[0][1:])):
                    self.join(self.index[place], after, left)
            if code.operation in ENDS or code.is_call and code.symbol in NEVER_BACK:
                continue
            if number + 1 < len(self.code) and self.code[number + 1].at[0] == code.at[0]:
                self.join(number + 1, after, left)

    @staticmethod
    def source(code, operand):
        """The origins of an operand's value."""
        if operand.startswith("$"):
            if code.symbol:
                return frozenset(["&" + code.name])
            return frozenset(["=" + str(int(operand[1:], 16))])
        if operand in REGISTERS:
            return code.value(operand)
        where = code.memory(operand)
        if not where:
            return UNKNOWN
        fs, offset, base, index = where
        if fs:
            return frozenset(["self"]) if not (offset or base or index or code.symbol) else UNKNOWN
        if code.kind and "GOTPCREL" in code.kind:
            return frozenset(["&" + code.symbol])
        if code.kind and "GOTTPOFF" in code.kind:
            return frozenset(["tls"])
        if base == "%rip":
            return frozenset([f"*{code.symbol}{code.offset:+#x}"])
        if base == "%rsp" and not index:
            return code.before.get(operand, UNKNOWN)
        found = set()
        for origin in code.value(base) if base else UNKNOWN:
            match = SYMBOL.match(origin[1:]) if origin[0] == "&" else None
            if match and not index:
                at = int((match.group(2) or "+") + (match.group(3) or "0"), 16) + offset
                found.add(f"*{match.group(1)}{at:+#x}")
            elif match and match.group(1).startswith(".rodata"):
                found.add("entry " + origin[1:])
            else:
                found.add("?")
        return frozenset(found)

    def sum_of(self, code, values, offset):
        """The origins of a sum."""
        if any("self" in value or "self+?" in value for value in values):
            others = [value for value in values if not value & {"self", "self+?"}]
            if code.kind and "TPOFF" in code.kind or any(value == {"tls"} for value in others):
                return frozenset(["tls"])
            return frozenset(["self"] if not others and not offset and len(values) == 1
                             else ["self+?"])
        if any("tls" in value for value in values):
            return frozenset(["tls"])
        tables = {origin for value in values for origin in value if origin[:6] == "entry "}
        if tables:
            return frozenset("table" + origin[5:] for origin in tables)
        if len(values) == 1 and not code.symbol:
            return frozenset(f"&{self.moved(origin[1:], offset)}" if origin[0] == "&" else "?"
                             for origin in values[0])
        return UNKNOWN

    @staticmethod
    def moved(name, offset):
        match = SYMBOL.match(name)
        at = int((match.group(2) or "+") + (match.group(3) or "0"), 16) + offset
        return f"{match.group(1)}{at:+#x}" if at else match.group(1)

    def step(self, code):
        """What is in the registers behind an instruction."""
        after = dict(code.before)
        if code.is_call:
            for name in CLOBBERED:
                after.pop(name, None)
            if code.symbol == "pthread_self":
                after["rax"] = frozenset(["self"])
            return after
        if not code.operands or READS.match(code.operation) and code.operation != "lea" and not \
                code.operation.startswith("imul") or code.is_jump:
            return after
        last = code.operands[-1]
        written = REGISTERS.get(last)
        if not written:
            where = code.memory(last)
            if where and where[2] == "%rsp" and not where[3]:
                if code.operation == "mov" and not where[0]:
                    after[last] = self.source(code, code.operands[0])
                else:
                    after.pop(last, None)
            return after
        if written == "rsp":
            for name in [name for name in after if "%rsp" in name]:
                del after[name]
            return after
        after[written] = self.result(code, written)
        for other in code.operands[:-1]: # exchanges
            if code.operation.startswith(("xchg", "xadd")) and other in REGISTERS:
                after[REGISTERS[other]] = code.value(last)
        return after

    def result(self, code, written):
        operation, first = code.operation, code.operands[0]
        if operation.startswith("rdfsbase"):
            return frozenset(["self"])
        if operation in ("mov", "movabs", "movq") or operation.startswith("cmov"):
            value = self.source(code, first)
            return value | code.before.get(written, UNKNOWN) if operation[0] == "c" else value
        if operation in ("movl",):
            return self.source(code, first)
        if operation == "lea":
            where = code.memory(first)
            if not where:
                return UNKNOWN
            _, offset, base, index = where
            if base == "%rip":
                return frozenset(["&" + code.name]) if code.symbol else UNKNOWN
            return self.sum_of(code, [code.value(one) for one in (base, index) if one], offset)
        if operation in ("movslq", "movzbl", "movsbq", "movzwl"):
            value = self.source(code, first)
            return value if all(one[:6] == "entry " for one in value) else UNKNOWN
        if operation in ("add", "sub", "or", "xadd"):
            mine = code.before.get(written, UNKNOWN)
            if first.startswith("$"):
                number = int(first[1:], 16)
                return self.sum_of(code, [mine], number if operation == "add" else -number)
            return self.sum_of(code, [mine, self.source(code, first)], 0)
        if operation.startswith(("xchg", "cmpxchg")):
            return self.source(code, first) if first in REGISTERS else UNKNOWN
        if operation == "xor" and first == code.operands[-1]:
            return frozenset(["=0"])
        # Masked or shifted: still somewhere in the thread's block.
        return frozenset(["self+?"]) if code.before.get(written, UNKNOWN) & {"self", "self+?"} \
            else UNKNOWN
