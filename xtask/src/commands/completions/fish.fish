# Completes `cargo xtask`, beside cargo's own completion.
function __cargo_xtask
    set --local words (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token)
    CRUDDUR_COMPLETE=fish @PROGRAM@ -- $words[2..] 2>/dev/null
end
complete --command cargo --condition 'test (count (commandline -opc)) -ge 2; and test (commandline -opc)[2] = xtask' \
    --keep-order --exclusive --arguments '(__cargo_xtask)'
