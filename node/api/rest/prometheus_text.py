"""Prometheus' text format, and what the system says of the process.

The only module that knows prometheus_client. It is imported with the first scrape: that takes 15 ms
and 2 MB, which a node that nobody watches has better uses for.
"""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.process_collector import ProcessCollector

from node.api.rest.metric_families import Family, Histogram, MetricType


class _Collector:
    """The metrics of one scrape."""

    def __init__(self, families: Iterable[Family | Histogram]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        return map(_metric, self._families)


def expose(families: Iterable[Family | Histogram]) -> bytes:
    """These, and the process's memory, processor time and open files.

    The registry is of this scrape alone: none holds anything between two.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(families))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


def _metric(family: Family | Histogram) -> Metric:
    if isinstance(family, Histogram):
        histogram = HistogramMetricFamily(family.name, family.words, labels=family.labels)
        for values, buckets, sum_value in family.samples:
            histogram.add_metric(values, buckets, sum_value)
        return histogram
    maker = CounterMetricFamily if family.kind is MetricType.COUNTER else GaugeMetricFamily
    metric = maker(family.name, family.words, labels=family.labels)
    for values, number in family.samples:
        metric.add_metric(values, number)
    return metric
