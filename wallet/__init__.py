"""The wallet: keys, coin selection, signing, and the node's Esplora API. Never imports `node`.

Reading order: errors, fields, amounts, derivation, sizes, select, build, state, esplora, ledger,
history, refusals, draft, facts (these are pure); keystore, files, store, networks (files); client
(HTTP), scan (what the chain says about the wallet); account (`Wallet`, what scripts use);
console, cli (the command).
"""
