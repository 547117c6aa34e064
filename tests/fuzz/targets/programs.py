"""host.dialect: whole programs with a known result, made together with it by an interpreter of a few lines.

The law: the interpreter shares nothing with the translator. All numbers are whole and small, so that both sides
compute them exactly; variables are a, b, c and d.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from fuzz.target import target
from fuzz.targets.dialect import lua
from host.dialect.dialect_script import Script
from lumilter.host.dialect import translate

NAMES = "abcd"
MASK = 0xFFFF
State = dict[str, int]

BINARY: dict[str, tuple[int, Callable[[int, int], int]]] = {
    "+": (6, lambda x, y: x + y),
    "-": (6, lambda x, y: x - y),
    "|": (6, lambda x, y: x | y),
    "&": (6, lambda x, y: x & y),
    "^^": (6, lambda x, y: x ^ y),
    "*": (7, lambda x, y: x * y),
    "<<": (7, lambda x, y: x << (y & 7)),
    ">>": (7, lambda x, y: x >> (y & 7)),
    "\\": (7, lambda x, y: x // (y & MASK | 1)),
    "%": (7, lambda x, y: x % (y & MASK | 1)),
}
"""Priority and meaning, the right operand bounded as `Binary.text` writes it; thrlua's lparser.c."""
TIGHTEST = 8


@dataclass(frozen=True)
class Number:
    value: int
    spelled: str

    def run(self, state: State) -> int:
        return self.value

    def text(self, above: int) -> str:
        return self.spelled


@dataclass(frozen=True)
class Variable:
    name: str

    def run(self, state: State) -> int:
        return state[self.name]

    def text(self, above: int) -> str:
        return self.name


@dataclass(frozen=True)
class Complement:
    of: Any

    def run(self, state: State) -> int:
        return ~self.of.run(state) & MASK

    def text(self, above: int) -> str:
        written = f"~{self.of.text(TIGHTEST)} & {MASK}"
        return f"({written})" if above >= 6 else written


@dataclass(frozen=True)
class Binary:
    operator: str
    left: Any
    right: Any
    around: str
    """White space around the operator."""

    def run(self, state: State) -> int:
        return BINARY[self.operator][1](self.left.run(state), self.right.run(state)) & MASK

    def text(self, above: int) -> str:
        priority = BINARY[self.operator][0]
        right = self.right.text(priority)
        if self.operator in ("<<", ">>"):
            right = f"({self.right.text(6)} & 7)"
        elif self.operator in ("\\", "%"):
            right = f"({self.right.text(6)} & {MASK} | 1)"
        left = self.left.text(priority - 1)
        return f"(({left}{self.around}{self.operator}{self.around}{right}) & {MASK})"


@dataclass(frozen=True)
class Loose:
    """A chain without a single parenthesis of its own: only priorities say what it means."""

    first: Any
    rest: tuple[tuple[str, Any], ...]

    def run(self, state: State) -> int:
        values, operators = [self.first.run(state)], []
        for operator, operand in self.rest:
            values.append(operand.run(state))
            operators.append(operator)
        for priority in (7, 6):
            at = 0
            while at < len(operators):
                if BINARY[operators[at]][0] == priority:
                    values[at : at + 2] = [BINARY[operators[at]][1](values[at], values[at + 1])]
                    del operators[at]
                else:
                    at += 1
        return values[0] & MASK

    def text(self, above: int) -> str:
        chain = self.first.text(9) + "".join(f" {operator} {operand.text(9)}" for operator, operand in self.rest)
        return f"(({chain}) & {MASK})"


NUMBERS = st.integers(0, 255).flatmap(
    lambda n: st.sampled_from([Number(n, f"{n}"), Number(n, f"0x{n:X}"), Number(n, f"0{n:o}" if n else "0")])
)
ATOMS = NUMBERS | st.sampled_from(NAMES).map(Variable)
CHAINED = st.sampled_from(["+", "-", "|", "&", "^^", "*"])
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        inner.map(Complement),
        st.builds(Binary, st.sampled_from(sorted(BINARY)), inner, inner, st.sampled_from(["", " ", "\n", " --[[|]] "])),
        st.builds(Loose, inner, st.lists(st.tuples(CHAINED, inner), min_size=1, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)


@dataclass(frozen=True)
class Condition:
    left: Any
    operator: str
    right: Any
    negated: bool

    def run(self, state: State) -> bool:
        x, y = self.left.run(state), self.right.run(state)
        held = {"==": x == y, "!=": x != y, "~=": x != y, "<": x < y, ">=": x >= y}[self.operator]
        return held != self.negated

    def text(self) -> str:
        written = f"{self.left.text(3)} {self.operator} {self.right.text(3)}"
        return f"!({written})" if self.negated else written


CONDITIONS = st.builds(
    Condition, EXPRESSIONS, st.sampled_from(["==", "!=", "~=", "<", ">="]), EXPRESSIONS, st.booleans()
)


@dataclass(frozen=True)
class Assign:
    name: str
    value: Any

    def run(self, state: State) -> None:
        state[self.name] = self.value.run(state)

    def text(self) -> str:
        return f"{self.name} = {self.value.text(0)}"


@dataclass(frozen=True)
class Swap:
    one: str
    other: str

    def run(self, state: State) -> None:
        state[self.one], state[self.other] = state[self.other], state[self.one]

    def text(self) -> str:
        return f"{self.one}, {self.other} = {self.other}, {self.one}"


@dataclass(frozen=True)
class If:
    condition: Condition
    then: list[Any]
    otherwise: list[Any]

    def run(self, state: State) -> None:
        for each in self.then if self.condition.run(state) else self.otherwise:
            each.run(state)

    def text(self) -> str:
        return f"if {self.condition.text()} then\n{block(self.then)}\nelse\n{block(self.otherwise)}\nend"


@dataclass(frozen=True)
class Repeat:
    """A loop of each kind, `times` times."""

    kind: str
    times: int
    body: list[Any]

    def run(self, state: State) -> None:
        for _ in range(self.times):
            for each in self.body:
                each.run(state)

    def text(self) -> str:
        inside = block(self.body)
        match self.kind:
            case "for":
                return f"for i = 1, {self.times} do\n{inside}\nend"
            case "in":
                return f"for i in times({self.times}) do\n{inside}\nend"
            case "table":
                items = ", ".join(["1 | 0"] * self.times)
                return f"for _, i in ipairs({{{items}}}) do\n{inside}\nend"
            case "while":
                return f"do local n = 0 while n < {self.times} do\n{inside}\nn = n + 1 end end"
        return f"do local n = 0 repeat if n != {self.times} then\n{inside}\nend n = n + 1 until n > {self.times} end"


@dataclass(frozen=True)
class Call:
    """Functions with every way to see the arguments."""

    kind: str
    name: str
    value: Any

    def run(self, state: State) -> None:
        state[self.name] = self.value.run(state)

    def text(self) -> str:
        value = self.value.text(0)
        match self.kind:
            case "arg":
                return f"{self.name} = (function(...)\nreturn arg[arg.n] end)(nil, {value})"
            case "dots":
                return f"{self.name} = (function(...) local x, y = ... return y | 0 end)(nil,\n{value})"
            case "method":
                return f"{self.name} = ({{ f = function(self, x) return ~~x end }}):f({value})"
        return f"{self.name} = (function(arg) return arg end)({value})"


def block(statements: list[Any]) -> str:
    return "\n".join(each.text() for each in statements)


def blocks(depth: int) -> st.SearchStrategy[list[Any]]:
    simple = st.one_of(
        st.builds(Assign, st.sampled_from(NAMES), EXPRESSIONS),
        st.builds(Swap, st.sampled_from(NAMES), st.sampled_from(NAMES)),
        st.builds(Call, st.sampled_from(["arg", "dots", "method", "named"]), st.sampled_from(NAMES), EXPRESSIONS),
    )
    if depth == 0:
        return st.lists(simple, max_size=3)
    inner = blocks(depth - 1)
    kinds = st.sampled_from(["for", "in", "table", "while", "repeat"])
    nested = st.one_of(st.builds(If, CONDITIONS, inner, inner), st.builds(Repeat, kinds, st.integers(0, 3), inner))
    return st.lists(st.one_of(simple, nested), max_size=4)


TIMES = """
local function times(n)
  local object = newproxy(true)
  getmetatable(object).__iter = function() local i = 0 return function() i = i + 1 if i <= n then return i end end end
  return object
end
"""


@target(blocks(2), using=lua, examples=150)
def computes(script: Script, statements: list[Any]) -> None:
    """A program in the dialect computes what its meaning says, and an error in its last line names that line."""
    state = dict.fromkeys(NAMES, 1)
    for each in statements:
        each.run(state)
    source = f"{TIMES}local a, b, c, d = 1, 1, 1, 1\n{block(statements)}\n"
    got = script.run(source + "return a, b, c, d")
    assert got == tuple(state[name] for name in NAMES), source
    message = script.error(source + "error('here')")
    assert message == f"test:{source.count(chr(10)) + 1}: here", message


STOCK = r"""
a = 1 + 2 * 3
local b = -a ^ 2 .. 'x'
if not a then b() elseif a ~= b then c = {1, 2; x = 3, ['y'] = #d} end
while a < 10 do a = a + 1 end
repeat local z = a.b.c until z
for i = 1, 10, 2 do print(i) end;
local function f(a, ...) return select('#', ...) end
function a.b:c(x) return self.x, x end
do end
f{1} f'x'
a, b.c[1] = f(), (f());
-- comment | & != !
--[[ long ~ ]] y = 2 --[==[ ]] ]==] x = 1
a = [[long | & string]] .. "\n\065\\ ~ \x41"
local x = 0x1F + 1e3 + .5 + 5. + 9
x = function() end
a = b and c or d
a:b(c):d 'e'
goto = 1 goto = goto.goto
for i = 1, 2 do break end
local t = {f = function() return end, f(), ...}
local arg = arg function g(...) return {...} end
""".strip().splitlines()


@target(st.lists(st.sampled_from(STOCK), max_size=10))
def stock(parts: list[str]) -> None:
    """A source without anything of the dialect's own is its own translation, the very object."""
    source = "\n".join(parts).encode()
    assert translate(source, "fuzz") is source
