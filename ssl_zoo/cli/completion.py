"""`ssl-zoo completion SHELL`: a script by which bash, zsh or fish completes the command line."""

from __future__ import annotations

from collections.abc import Sequence

from ssl_zoo.cli.complete import SHELLS
from ssl_zoo.errors import UserError, unknown_name

__all__ = ["script_for"]

BASH = r"""# bash completion of ssl-zoo. For this shell: source <(ssl-zoo completion bash)
# For all: ssl-zoo completion bash > ~/.local/share/bash-completion/completions/ssl-zoo
_ssl_zoo() {
    # Words as they stand on the line: bash itself breaks them at `=` and `:`.
    local line=${COMP_LINE:0:COMP_POINT} IFS=$' \t\n' words word head
    read -a words <<< "$line"  # a space after a backslash is of its word
    [[ $line == *[[:space:]] && $line != *\\[[:space:]] ]] && words+=("")
    word=${words[-1]}
    head=${word%"${word##*[=:]}"}
    local candidate
    COMPREPLY=()
    while IFS= read -r candidate; do
        candidate=${candidate%%$'\t'*}
        [[ $candidate == *[.=/,] ]] && compopt -o nospace
        [[ $COMP_WORDBREAKS == *=* ]] && candidate=${candidate#"$head"}
        # What the shell would read as more than letters is quoted.
        [[ $candidate == *[\ \\\'\"\$\`\&\;\|\<\>\(\)\*\?\!]* ]] && printf -v candidate %q "$candidate"
        COMPREPLY+=("$candidate")
    done < <("${words[0]/#\~/$HOME}" __complete "${words[@]:1}" 2>/dev/null)
}
complete -F _ssl_zoo ssl-zoo
"""
ZSH = r"""#compdef ssl-zoo
# zsh completion of ssl-zoo. For this shell: source <(ssl-zoo completion zsh)
# For all: ssl-zoo completion zsh > FOLDER/_ssl-zoo, in a folder of $fpath
_ssl_zoo() {
    local line word
    local -a lines open open_texts whole whole_texts
    lines=("${(@f)$("${(Q)words[1]}" __complete "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    for line in $lines; do
        word=${line%%$'\t'*}
        if [[ $word == *[.=/,] ]]; then
            open+=("$word") open_texts+=("$word  ${line#*$'\t'}")
        else
            whole+=("$word") whole_texts+=("$word  ${line#*$'\t'}")
        fi
    done
    (( $#open )) && compadd -S '' -l -d open_texts -a open
    (( $#whole )) && compadd -l -d whole_texts -a whole
}
if [[ $funcstack[1] == _ssl-zoo ]]; then _ssl_zoo "$@"; else compdef _ssl_zoo ssl-zoo; fi
"""
FISH = r"""# fish completion of ssl-zoo. For this shell: ssl-zoo completion fish | source
# For all: ssl-zoo completion fish > ~/.config/fish/completions/ssl-zoo.fish
function __ssl_zoo_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct | string unescape)
    test (count $word) -eq 1; or set word (commandline -ct)
    $words[1] __complete $words[2..-1] "$word" 2>/dev/null
end
complete -c ssl-zoo -f -a '(__ssl_zoo_complete)'
"""
SCRIPTS = dict(zip(SHELLS, (BASH, ZSH, FISH), strict=True))


def script_for(arguments: Sequence[str]) -> str:
    """Returns the script of the shell that the arguments name.

    Raises:
        UserError: they name none, or more than one.
    """
    if len(arguments) != 1:
        raise UserError(
            f"completion takes one shell of {', '.join(SHELLS)}; received {len(arguments)}; write for instance "
            "source <(ssl-zoo completion bash)"
        )
    if arguments[0] not in SCRIPTS:
        raise unknown_name("shell", arguments[0], SCRIPTS)
    return SCRIPTS[arguments[0]]
