# Completes `cargo xtask`. Other commands of cargo are left to cargo's own completion.
_cargo_xtask() {
    if [[ ${COMP_WORDS[1]-} != xtask || $COMP_CWORD -lt 2 ]]; then
        if declare -F _cargo >/dev/null; then
            _cargo "$@"
        else
            COMPREPLY=($(compgen -W xtask -- "$2"))
        fi
        return
    fi
    local found
    COMPREPLY=()
    while IFS= read -r found || [[ -n $found ]]; do
        COMPREPLY+=("$found")
    done < <(CRUDDUR_COMPLETE=bash _CLAP_IFS=$'\n' _CLAP_COMPLETE_INDEX=$((COMP_CWORD - 1)) \
        @PROGRAM@ -- "${COMP_WORDS[@]:1}" 2>/dev/null)
}
complete -o bashdefault -o default -F _cargo_xtask cargo
