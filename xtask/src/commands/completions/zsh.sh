# Completes `cargo xtask`. Other commands of cargo are left to cargo's own completion.
_cargo_xtask() {
    if [[ ${words[2]} != xtask || $CURRENT -lt 3 ]]; then
        if (( $+functions[_cargo] )); then _cargo "$@"; else compadd xtask; fi
        return
    fi
    local -a found=("${(@f)$(CRUDDUR_COMPLETE=zsh _CLAP_IFS=$'\n' _CLAP_COMPLETE_INDEX=$((CURRENT - 2)) \
        @PROGRAM@ -- "${words[@]:1}" 2>/dev/null)}")
    if [[ -n $found ]]; then _describe -V values found; else _files; fi
}
compdef _cargo_xtask cargo
