"""The wallet: keys, coin selection, signing, and the node's Esplora API. Never imports `node`.

Reading order: errors, amounts, derivation, select, build (these are pure); keystore, state,
files (what the wallet file holds and how it is written); client (HTTP); ledger, scan (what the
chain says about the wallet); account (`Wallet`, what scripts use); history, output, cli.
"""
