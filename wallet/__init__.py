"""The wallet: keys, coin selection, signing, and the node's Esplora API. Never imports `node`.

Reading order: errors, fields, amounts, uri, derivation, sizes, select, build, state, esplora, ledger,
history, refusals, ceiling, draft, facts (these are pure); keystore, files, store, networks (files); client
(HTTP), scan (what the chain says about the wallet); account (`Wallet`, what scripts use);
console, arguments, display, commands, cli (the command).
"""
