"""Which room may import which: imports only point down."""

import ast

from tests.conftest import ROOT

# A room may import rooms of lower lines, not of its own. A command is a room,
# and so is each module at the top of `tfwstal`.
FLOORS = (
    "client evaluate export localize train tune visualize "
    "convert extract inspect synthesize",
    "command_line layouts sharding inspection planting labels object_arrays",
    "config",
    "serving search localizing",
    "training",
    "plotting",
    "evaluation inference extraction",
    "data method engine",
    "files keras_versions",
    "errors quiet_start",
)
FLOOR = {room: n for n, line in enumerate(FLOORS) for room in line.split()}
# Rooms of `tfrecords_tools` may import each other.
TOOLS = {"layouts", "sharding", "inspection", "planting", "labels"}
TOOLS |= {"object_arrays"}
# The only rooms that these rooms may import.
ALONE = {"method": {"keras_versions"}, "keras_versions": set()}


def modules():
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for package in ("tfwstal", "tfrecords_tools")
        for path in (ROOT / package).rglob("*.py")
    }


def imported(path):
    """Dotted names of all absolute imports in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrows():
    """(package, room, module, package that it uses, room that it uses)."""
    for module, path in modules().items():
        own = module.split(".")
        for name in imported(path):
            used = name.split(".")
            ours = used[0] in ("tfwstal", "tfrecords_tools")
            # All may import from `tfwstal` itself: the version and the model.
            if ours and used[1:] and used[1] in FLOOR and own[1] in FLOOR:
                yield own[0], own[1], module, used[0], used[1]


def upward():
    """(module, room that it uses) of the arrows that do not point down."""
    return {
        (module, used)
        for _, room, module, _, used in arrows()
        if room != used
        and not {room, used} <= TOOLS
        and (FLOOR[used] <= FLOOR[room] or used not in ALONE.get(room, {used}))
    }


def take_config():
    """{module: functions of the library that take the whole Config}."""
    found = {}
    for module, path in modules().items():
        package, _, name = module.partition(".")
        if package != "tfwstal" or "." not in name:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.FunctionDef)
                and "config" in {argument.arg for argument in node.args.args}
                and not node.name.endswith("from_config")  # a method of Keras
            ):
                found.setdefault(name, set()).add(node.name)
    return found


def test_every_room_has_a_floor():
    rooms = {module.split(".")[1] for module in modules()}
    assert rooms - FLOOR.keys() == {"__init__"}


def test_arrows_point_down():
    assert not upward()


def test_the_library_uses_no_tool():
    assert not [
        module
        for package, _, module, used, _ in arrows()
        if package == "tfwstal" and used == "tfrecords_tools"
    ]


def test_average_precision_uses_nothing_of_ours():
    folder = ROOT / "tfwstal" / "evaluation" / "average_precision"
    for path in folder.glob("*.py"):
        for name in imported(path):
            assert name.partition(".")[0] not in ("tfwstal", "tfrecords_tools")


def test_the_library_takes_values():
    assert not take_config()
