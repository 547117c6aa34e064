"""daemon.ledger: sums over living and dead workers, in a text that Prometheus's own parser reads back."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from lumilter import __version__
from lumilter.daemon.figures import COUNTER, FAMILIES, GAUGE, Figures
from lumilter.daemon.ledger import Ledger

Sample = tuple[str, frozenset[tuple[str, str]]]


def samples(ledger: Ledger) -> dict[Sample, float]:
    """Every sample by its name and labels."""
    families = text_string_to_metric_families(ledger.exposition().decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def sample(name: str, **labels: str) -> Sample:
    return f"lumilter_{name}", frozenset(labels.items())


def test_every_family_is_exposed_with_its_help_and_kind() -> None:
    found = {family.name: family for family in text_string_to_metric_families(Ledger().exposition().decode())}
    assert set(found) == {f"lumilter_{name}" for name in FAMILIES}
    for name, family in FAMILIES.items():
        exposed = found[f"lumilter_{name}"]
        assert (exposed.documentation, exposed.type) == (family.help, family.kind)
        assert name.endswith("_seconds") or "seconds" not in name
        assert not name.endswith("_total")


def test_workers_live_and_die() -> None:
    ledger, one, two = Ledger(), Figures(), Figures()
    one.add("messages", amount=5)
    one.observe("hook_seconds", ("policy", "validate_ehlo"), 0.003)
    one.read(lambda: {"sessions_open": 3, "lua_memory_bytes": 1000})
    two.add("messages", amount=7)
    two.observe("hook_seconds", ("policy", "validate_ehlo"), 99)
    two.read(lambda: {"sessions_open": 4, "lua_memory_bytes": 2000})
    ledger.heard("one", 0, "serving", one.snapshot())
    ledger.heard("two", 0, "starting", two.snapshot())
    ledger.heard("one", 0, "draining")
    ledger.heard("two", 0, "serving")
    found = samples(ledger)
    assert found[sample("messages_total")] == 12
    assert found[sample("sessions_open")] == 7
    assert found[sample("workers", state="draining")] == found[sample("workers", state="serving")] == 1
    assert found[sample("workers", state="starting")] == 0
    assert found[sample("lua_memory_bytes", worker="0", state="draining")] == 1000
    assert found[sample("lua_memory_bytes", worker="0", state="serving")] == 2000
    labels = {"module": "policy", "hook": "validate_ehlo"}
    assert found[sample("hook_seconds_bucket", le="0.0025", **labels)] == 0
    assert found[sample("hook_seconds_bucket", le="0.005", **labels)] == 1
    assert found[sample("hook_seconds_bucket", le="60.0", **labels)] == 1
    assert found[sample("hook_seconds_bucket", le="+Inf", **labels)] == 2
    assert found[sample("hook_seconds_sum", **labels)] == 99.003

    ledger.gone("one")
    ledger.gone("one")
    found = samples(ledger)
    assert found[sample("messages_total")] == 12
    assert found[sample("sessions_open")] == 4
    assert found[sample("workers", state="draining")] == 0
    assert sample("lua_memory_bytes", worker="0", state="draining") not in found
    assert ledger.summary()["messages"] == 12


def test_two_draining_workers_of_one_index_are_added() -> None:
    ledger = Ledger()
    for name, memory in (("a", 10), ("b", 20)):
        figures = Figures()
        figures.read(lambda memory=memory: {"resident_memory_bytes": memory})
        ledger.heard(name, 1, "draining", figures.snapshot())
    assert samples(ledger)[sample("resident_memory_bytes", worker="1", state="draining")] == 30


def test_what_the_supervisor_knows_itself() -> None:
    ledger = Ledger()
    ledger.generation = 4
    ledger.own.add("worker_restarts", ("stuck",))
    ledger.own.add("reloads", ("ok",), 2)
    found = samples(ledger)
    assert found[sample("generation")] == 4
    assert found[sample("worker_restarts_total", reason="stuck")] == 1
    assert found[sample("reloads_total", result="ok")] == 2
    assert found[sample("uptime_seconds")] >= 0
    assert [value for (name, labels), value in found.items() if name == "lumilter_build_info"] == [1]
    assert any(("version", __version__) in labels for name, labels in found if name == "lumilter_build_info")
    assert ledger.summary()["restarts"] == {"stuck": 1}


@settings(max_examples=50)
@given(st.lists(st.tuples(st.text(max_size=10), st.integers(1, 9)), max_size=5))
def test_any_module_name_is_read_back(modules: list[tuple[str, int]]) -> None:
    ledger, figures, expected = Ledger(), Figures(), dict[str, int]()
    for module, count in modules:
        figures.add("script_errors", (module,), count)
        expected[module] = expected.get(module, 0) + count
    ledger.heard(1, 0, "serving", figures.snapshot())
    found = samples(ledger)
    assert {
        dict(labels).get("module", ""): value
        for (name, labels), value in found.items()
        if name == "lumilter_script_errors_total"
    } == expected


def test_a_module_name_that_is_no_unicode() -> None:
    ledger, figures = Ledger(), Figures()
    figures.add("script_errors", ("caf\udce9",))
    ledger.heard(1, 0, "serving", figures.snapshot())
    assert samples(ledger)[sample("script_errors_total", module="caf\\udce9")] == 1


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["count", "beat", "die"])), max_size=30))
def test_counters_never_go_back(happened: list[tuple[int, str]]) -> None:
    ledger, workers, before = Ledger(), dict[int, Figures](), 0.0
    for worker, what in happened:
        figures = workers.setdefault(worker, Figures())
        if what == "count":
            figures.add("messages")
        elif what == "beat":
            ledger.heard(worker, worker, "serving", figures.snapshot())
        else:
            ledger.heard(worker, worker, "serving", figures.snapshot())
            ledger.gone(worker)
            del workers[worker]
        now = ledger.summary()["messages"]
        assert now >= before
        before = now
    for worker, figures in workers.items():
        ledger.heard(worker, worker, "serving", figures.snapshot())
    assert ledger.summary()["messages"] == sum(what == "count" for _, what in happened)


def test_the_families_are_well_named() -> None:
    for name, family in FAMILIES.items():
        assert family.help.endswith(".")
        assert bool(family.bounds) == (family.kind not in (COUNTER, GAUGE)), name
