"""Mutations of a module: small changes of its source that a test has to notice.

The catalogue follows Offutt's sufficient operators (relational, logical, arithmetic, unary, statement deletion) and
adds constants, default arguments, keyword arguments and return values. Annotations, docstrings, decorators, imports and
`__all__` are left alone: what changes there is seen by mypy, or by nobody.

A mutation is named by the function that it is in and by the source before and after, not by a line: the name outlives
other changes of the file. Equal names in one function are told apart by a number.
"""

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}

Path = tuple[tuple[str, int | None], ...]
"""The way from the module to a node: field names, with an index where the field is a list."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """One change of a module; `source` is the whole module with it, `line` where it is in the original."""

    where: str
    change: str
    line: int
    source: str

    @property
    def name(self) -> str:
        """Its name within the module."""
        return f"{self.where}: {self.change}"


def mutations(source: str) -> Iterator[Mutation]:
    """Yield every mutation of a module's source, each of which is another program than the original."""
    tree = ast.parse(source)
    seen: dict[tuple[str, str], int] = {}
    for path, where in _places(tree):
        node = _at(tree, path)
        for changed in _variants(node):
            mutant = _replaced(tree, path, changed)
            change = f"{_shown(node)} -> {_shown(changed)}"
            count = seen[where, change] = seen.get((where, change), 0) + 1
            named = change if count == 1 else f"{change} #{count}"
            yield Mutation(where, named, getattr(node, "lineno", 0), ast.unparse(ast.fix_missing_locations(mutant)))


def _places(tree: ast.Module) -> Iterator[tuple[Path, str]]:
    def walk(node: ast.AST, path: Path, where: str) -> Iterator[tuple[Path, str]]:
        if isinstance(node, ast.Import | ast.ImportFrom):
            return
        if isinstance(node, ast.expr | ast.stmt | ast.keyword | ast.comprehension | ast.ExceptHandler):
            yield path, where
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            where = node.name if where == "module" else f"{where}.{node.name}"
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list", "bases", "ctx", "type_params"):
                continue
            if isinstance(value, ast.AST):
                yield from walk(value, (*path, (field, None)), where)
            elif isinstance(value, list):
                for index, item in enumerate(value):
                    if isinstance(item, ast.AST) and not _is_docstring(item):
                        yield from walk(item, (*path, (field, index)), where)

    yield from walk(tree, (), "module")


def _variants(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand in the place of a node."""
    for kind, change in _CHANGES.items():
        if isinstance(node, kind):
            yield from change(node)


def _compared(node: ast.Compare) -> Iterator[ast.AST]:
    for index, operator in enumerate(node.ops):
        for other in _COMPARISONS[type(operator)]:
            changed = copy.deepcopy(node)
            changed.ops[index] = other()
            yield changed


def _joined(node: ast.BoolOp) -> Iterator[ast.AST]:
    yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    for index in range(len(node.values)):
        rest = [value for at, value in enumerate(node.values) if at != index]
        yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)


def _operated(node: ast.BinOp) -> Iterator[ast.AST]:
    if type(node.op) in _ARITHMETIC and not _is_type(node):
        yield ast.BinOp(node.left, _ARITHMETIC[type(node.op)](), node.right)


def _negated(node: ast.UnaryOp) -> Iterator[ast.AST]:
    yield node.operand


def _constant(node: ast.Constant) -> Iterator[ast.AST]:
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int | float):
        yield ast.Constant(value + 1)
    elif isinstance(value, str):
        yield ast.Constant(f"XX{value}")
    elif isinstance(value, bytes):
        yield ast.Constant(b"XX" + value)


def _decided(node: ast.If | ast.IfExp | ast.While) -> Iterator[ast.AST]:
    for value in (True, False) if not isinstance(node, ast.While) else (False,):
        changed = copy.copy(node)
        changed.test = ast.Constant(value)
        yield changed


def _filtered(node: ast.comprehension) -> Iterator[ast.AST]:
    for index in range(len(node.ifs)):
        changed = copy.copy(node)
        changed.ifs = [test for at, test in enumerate(node.ifs) if at != index]
        yield changed


def _called(node: ast.Call) -> Iterator[ast.AST]:
    for index in range(len(node.keywords)):
        rest = [keyword for at, keyword in enumerate(node.keywords) if at != index]
        yield ast.Call(node.func, node.args, rest)


def _returned(node: ast.Return) -> Iterator[ast.AST]:
    if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value in (None, False)):
        yield ast.Return(ast.Constant(None))


def _left_out(_node: ast.stmt) -> Iterator[ast.AST]:
    yield ast.Pass()


def _jumped(node: ast.Continue | ast.Break) -> Iterator[ast.AST]:
    yield ast.Break() if isinstance(node, ast.Continue) else ast.Continue()


def _unhandled(node: ast.ExceptHandler) -> Iterator[ast.AST]:
    if not (len(node.body) == 1 and isinstance(node.body[0], ast.Raise) and node.body[0].exc is None):
        yield ast.ExceptHandler(node.type, node.name, [ast.Raise()])


_CHANGES: dict[type[ast.AST] | tuple[type[ast.AST], ...], Callable[..., Iterator[ast.AST]]] = {
    ast.Compare: _compared,
    ast.BoolOp: _joined,
    ast.BinOp: _operated,
    ast.UnaryOp: _negated,
    ast.Constant: _constant,
    (ast.If, ast.IfExp, ast.While): _decided,
    ast.comprehension: _filtered,
    ast.Call: _called,
    ast.Return: _returned,
    (ast.Expr, ast.Raise, ast.AugAssign): _left_out,
    (ast.Continue, ast.Break): _jumped,
    ast.ExceptHandler: _unhandled,
}


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_type(node: ast.BinOp) -> bool:
    return any(isinstance(side, ast.Constant) and side.value is None for side in (node.left, node.right))


def _at(tree: ast.AST, path: Path) -> ast.AST:
    for field, index in path:
        found = getattr(tree, field)
        tree = found if index is None else found[index]
    return tree


def _replaced(tree: ast.Module, path: Path, changed: ast.AST) -> ast.Module:
    mutant = copy.deepcopy(tree)
    (field, index), parent = path[-1], _at(mutant, path[:-1])
    if index is None:
        setattr(parent, field, changed)
    else:
        getattr(parent, field)[index] = changed
    return mutant


def _shown(node: ast.AST) -> str:
    """Return a node's source in one line; of a statement with a body, its head."""
    if isinstance(node, ast.comprehension):
        return f"for {ast.unparse(node.target)}" + "".join(f" if {ast.unparse(test)}" for test in node.ifs)
    if isinstance(node, ast.ExceptHandler):
        return f"except {ast.unparse(node.type) if node.type else ''}: {' '.join(ast.unparse(node.body).split())}"
    text = ast.unparse(ast.fix_missing_locations(copy.deepcopy(node)))
    return text.split("\n", 1)[0] if isinstance(node, ast.If | ast.While) else " ".join(text.split())
