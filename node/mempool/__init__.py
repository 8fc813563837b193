"""Unconfirmed transactions: policy, the pool, packages, orphans, fee estimates, block assembly.

A transaction: `MempoolAccept.offer` (accept) asks `Mempool.stage` (prechecks: policy, inputs, fees, replacement,
limits), which changes nothing; its signatures are verified outside the lock; `MempoolAccept.settle` stages it again and
adds it; `eviction` then makes room if the pool is too large. A package goes the same way through accept_package and
package_prechecks. A new tip: tip_update takes out what was mined and takes back what a reorganisation has undone.

Reading order is import order: policy, entry, graph_protocol, script_index, view, eviction_order, tx_graph, change,
inputs, rbf, eviction, prechecks, overlay, package_prechecks, tip_update, mempool, accept, accept_package; orphanage,
fee_estimator, block_assembler and persist by themselves. No I/O, clock, threads or randomness.
"""
