"""`jamaintctl completion`: what the Tab key does. The shells ask this program, so that there is one answer for all."""

from __future__ import annotations

from jamaint.ctl.cli.arguments import GLOBAL_FLAGS, UsageError
from jamaint.ctl.cli.context import DONE, Call
from jamaint.ctl.verbs.table import VERBS
from jamaint.errors import JamaintError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from jamaint.ctl.cli.arguments import Flag, Verb
    from jamaint.ctl.output.text import Look

    Ask = Callable[[str, dict[str, Any]], Any]
    Candidate = tuple[str, str]

FILES = ":files"
"""Stands for the names of files, which a shell completes better."""
PATIENCE_SECONDS = 2.0
EXECUTIONS = 20
STATUSES = ("scheduled", "running", "completed", "failed", "cancelled", "rolled_back")
LISTS = {"TASK": "task.list", "WINDOW": "window.list", "POLICY": "policy.list"}
NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")

BASH = r"""# bash completion for jamaintctl; made by `jamaintctl completion bash`
_jamaintctl() {
    local IFS=$'\n' before=() word
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ $word == "=" ]] || before+=("$word")
    done
    mapfile -t COMPREPLY < <("$1" completion words -- "${before[*]}${before:+$IFS}$2" 2>/dev/null | cut -f 1)
    if [[ ${COMPREPLY[0]} == ":files" ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$2")
    fi
}
complete -F _jamaintctl jamaintctl
"""
ZSH = r"""#compdef jamaintctl
# zsh completion for jamaintctl; made by `jamaintctl completion zsh`
_jamaintctl() {
    local -a found shown
    local line
    for line in ${(f)"$("${words[1]}" completion words -- "${(pj:\n:)words[2,CURRENT]}" 2>/dev/null)"}; do
        if [[ $line == :files ]]; then
            _files
            return
        fi
        found+=("${line%%$'\t'*}")
        shown+=("${line/$'\t'/  -- }")
    done
    compadd -l -d shown -a found
}
if [[ $funcstack[1] == _jamaintctl ]]; then
    _jamaintctl "$@"
else
    compdef _jamaintctl jamaintctl
fi
"""
FISH = r"""# fish completion for jamaintctl; made by `jamaintctl completion fish`
function __jamaintctl_words
    set -l words (commandline -opc)[2..-1] (commandline -ct)
    set -l found (jamaintctl completion words -- (string join \n -- $words | string collect) 2>/dev/null)
    if test "$found[1]" = ":files"
        __fish_complete_path (commandline -ct)
    else
        printf '%s\n' $found
    end
end
complete -c jamaintctl -f -a '(__jamaintctl_words)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def completion(call: Call) -> int:
    """The verb: a shell's script, or for that script what the last of some words, a line each, can become."""
    shell = call.values["shell"]
    if shell == "words":
        words = str(call.values.get("words", "")).split("\n")
        found = [{"word": word, "help": help} for word, help in candidates(words, VERBS, _asker(words, call))]
        call.show({"items": found}, draw_words)
        return DONE
    if shell not in SCRIPTS:
        raise UsageError(f"there is no completion for {shell}", "completion", (shell, list(SCRIPTS)))
    call.show({"shell": shell, "script": SCRIPTS[shell]}, draw_script)
    return DONE


def draw_words(found: Mapping[str, Any], _look: Look) -> list[str]:
    """What can follow, a line each: the word, and after a tab what it is."""
    return ["\t".join(filter(None, (item["word"], item["help"]))) for item in found["items"]]


def draw_script(found: Mapping[str, Any], _look: Look) -> list[str]:
    """The script as lines."""
    return str(found["script"]).rstrip("\n").split("\n")


def candidates(words: Sequence[str], verbs: Sequence[Verb], ask: Ask) -> list[Candidate]:
    """What the last of `words` can become, each with a few words about it; `ask` calls the daemon."""
    found = _Line(words, verbs)
    current = words[-1]
    if found.awaits is not None:
        return _beginning(current, _values(found.awaits.value, ask))
    name, equals, begun = current.partition("=")
    if equals and name.startswith("--"):
        flag = next((flag for flag in found.flags if flag.name == name and flag.value), None)
        values = [] if flag is None else _values(flag.value, ask)
        return [(f"{name}={value}" if value != FILES else value, help) for value, help in _beginning(begun, values)]
    if current.startswith("-"):
        return _beginning(current, [*((flag.name, flag.help) for flag in found.left), ("--help", "say more")])
    if found.verb is None:
        return _beginning(current, found.next_words())
    return _beginning(current, _values(found.place(), ask))


class _Line:
    """What stands before the word that is completed."""

    def __init__(self, words: Sequence[str], verbs: Sequence[Verb]) -> None:
        self._verbs = verbs
        self._words: list[str] = []
        self._given: set[str] = set()
        self._positionals = 0
        self.verb: Verb | None = None
        self.awaits: Flag | None = None
        """The flag whose value comes next."""
        for word in words[:-1]:
            self._take(word)

    @property
    def flags(self) -> list[Flag]:
        return [*(() if self.verb is None else self.verb.flags), *GLOBAL_FLAGS]

    @property
    def left(self) -> list[Flag]:
        """Those that can still be given."""
        return [flag for flag in self.flags if flag.many or flag.name not in self._given]

    def next_words(self) -> list[Candidate]:
        """What can follow as the next word of a command; the help is a command's own."""
        place = len(self._words)
        found: dict[str, str] = {}
        for verb in self._verbs:
            words = verb.name.split(" ")
            if words[:place] == self._words and len(words) > place:
                found.setdefault(words[place], verb.help if len(words) == place + 1 else "")
        return list(found.items())

    def place(self) -> str:
        """What the command wants next, without brackets; empty when it wants nothing more."""
        places = () if self.verb is None else self.verb.positionals
        if not places or (self._positionals >= len(places) and not places[-1].rstrip("]").endswith("…")):
            return ""
        return places[min(self._positionals, len(places) - 1)].strip("[]…")

    def _take(self, word: str) -> None:
        if self.awaits is not None:
            self.awaits = None
        elif word.startswith("-") and word != "-":
            name, equals, _ = word.partition("=")
            flag = next((flag for flag in self.flags if name in (flag.name, flag.short)), None)
            self._given.add(name if flag is None else flag.name)
            self.awaits = flag if flag is not None and flag.value and not equals else None
        elif self.verb is None:
            self._words.append(word)
            name = " ".join(self._words)
            self.verb = next((verb for verb in self._verbs if verb.name == name), None)
        else:
            self._positionals += 1


def _values(kind: str, ask: Ask) -> list[Candidate]:
    """The values of that kind, as a positional or a flag's value names it."""
    try:
        if kind in LISTS:
            return [(str(item["name"]), str(item.get("description") or "")) for item in ask(LISTS[kind], {})["items"]]
        if kind == "EXECUTION":
            items = ask("execution.list", {"limit": EXECUTIONS})["items"]
            return [
                ("last", "the newest"),
                *((item["id"][:8], f"{item['task_name']} {item['status']}") for item in items),
            ]
    except (JamaintError, LookupError, TypeError, ValueError):
        return []  # nobody wants an error for a Tab
    if kind in {"FILE", "PATH"}:
        return [(FILES, "")]
    if kind == "STATUS":
        return [(status, "") for status in STATUSES]
    return [(shell, "") for shell in SCRIPTS] if kind == "SHELL" else []


def _beginning(current: str, found: Iterable[Candidate]) -> list[Candidate]:
    """Those that begin as the word does, and that no shell can take for anything but a name."""
    return [
        (word, " ".join(help.split()))
        for word, help in found
        if word == FILES or (word.startswith(current) and NAME.issuperset(word))
    ]


def _asker(words: Sequence[str], call: Call) -> Ask:
    """Asks the daemon that the line means."""
    values: dict[str, Any] = {"timeout": PATIENCE_SECONDS}
    for place, word in enumerate(words[:-1]):
        if word == "--socket":
            values["socket"] = words[place + 1]
        elif word.startswith("--socket="):
            values["socket"] = word.partition("=")[2]
    if "socket" in call.values:
        values.setdefault("socket", call.values["socket"])
    return Call(values, call.screen, call.look.now).ask
