"""The ledger: all of a call's charges or none, whoever spends at the same time, and nothing ever comes back early."""

import gc
import json
import math
import multiprocessing
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blastwall.errors import BackendError
from blastwall.state import Counters, Ledger
from blastwall.state import ledger as module
from blastwall.state.ledger import SLOTS
from blastwall.values import Charge

HOUR = 3600.0


class Clock:
    """The wall clock, which a test sets."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "_now", clock)
    return clock


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "ledger.sqlite"


@pytest.fixture
def ledger(path):
    ledger = Ledger(path)
    yield ledger
    ledger.close()


def rate(limit, key="mail.send.rate", amount=1.0, per_s=HOUR):
    return Charge(key, limit, amount, per_s)


def budget(limit, key="session.calls", amount=1.0):
    return Charge(key, limit, amount)


def paid(ledger, *charges, counters=None):
    """Say how often the charges can be paid, up to a hundred times."""
    counters = counters or Counters()
    for times in range(100):
        if ledger.spend(charges, counters):
            return times
    return 100


def rows(path):
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT key, at, until, amount FROM spent ORDER BY key, at").fetchall()
    connection.close()
    return found


# --- what is spent ------------------------------------------------------------------------------------


@pytest.mark.parametrize("charge", [rate, budget])
@pytest.mark.parametrize("limit", [0, 1, 5])
def test_so_much_can_be_spent_and_no_more(ledger, charge, limit):
    assert paid(ledger, charge(limit)) == limit


@pytest.mark.parametrize("charge", [rate, budget])
@pytest.mark.parametrize(
    ("limit", "amount", "times"),
    [(1, 0.1, 10), (0.3, 0.1, 3), (1000, 250.5, 3), (5, 5, 1), (5, 5.000001, 0), (3, 0, 100), (0, 0, 100)],
)
def test_amounts_add_up_as_people_count(ledger, charge, limit, amount, times):
    """Ten times 0.1 is 1."""
    assert paid(ledger, charge(limit, amount=amount)) == times


@pytest.mark.parametrize(
    ("charges", "over"),
    [
        ((rate(1), budget(0)), 1),
        ((budget(0), rate(1)), 0),
        ((rate(0), budget(0)), 0),
        ((budget(0), rate(0)), 0),
        ((budget(1), budget(1, "b"), rate(1), rate(0, "r2"), rate(0, "r3")), 3),
        ((rate(3, amount=2), rate(3, amount=2)), 1),
        ((budget(3, amount=2), budget(3, amount=2)), 1),
    ],
)
def test_the_first_that_is_used_up_is_given_and_nothing_was_spent(ledger, charges, over, path):
    counters = Counters()
    for _ in range(3):
        assert ledger.spend(charges, counters) is charges[over]
    assert [counters.used(charge.key) for charge in charges] == [0] * len(charges)
    assert not path.exists() or rows(path) == []


def test_two_charges_to_one_counter_add_up(ledger):
    counters = Counters()
    assert ledger.spend([rate(5, amount=2), rate(5, amount=3), budget(5), budget(5)], counters) is None
    assert counters.used("session.calls") == 2
    assert paid(ledger, rate(6)) == 1


def test_nothing_to_pay_is_paid(ledger, path):
    assert ledger.spend((), Counters()) is None
    assert not path.exists()


def test_a_session_s_own_counters_need_no_file(ledger, path):
    assert paid(ledger, budget(3), budget(2, "session.writes")) == 2
    assert not path.parent.exists()


def test_sessions_have_budgets_of_their_own_and_share_the_windows(ledger):
    one, other = Counters(), Counters()
    assert paid(ledger, budget(2), counters=one) == paid(ledger, budget(2), counters=other) == 2
    assert ledger.spend([rate(1)], one) is None
    assert ledger.spend([rate(1)], other) == rate(1)


def test_a_child_that_shares_the_counters_gets_nothing_anew(ledger):
    parent = child = Counters()
    assert paid(ledger, budget(5), counters=parent) == 5
    assert paid(ledger, budget(5), counters=child) == 0


def test_a_new_process_finds_what_was_spent(ledger, path):
    assert paid(ledger, rate(3)) == 3
    again = Ledger(path)
    assert paid(again, rate(5)) == 2
    again.close()


@pytest.mark.parametrize("amount", [-1.0, -1e-300, -math.inf, math.inf, math.nan])
@pytest.mark.parametrize("per_s", [None, HOUR])
def test_an_amount_that_could_give_budget_back_counts_as_used_up(ledger, amount, per_s):
    counters = Counters()
    spent, strange = Charge("k", 2, 1, per_s), Charge("k", 2, amount, per_s)
    assert ledger.spend([spent], counters) is None
    assert ledger.spend([strange], counters) is strange
    assert ledger.spend([strange, spent], counters) is strange
    assert ledger.spend([spent, strange], counters) is strange
    assert paid(ledger, spent, counters=counters) == 1


@pytest.mark.parametrize(
    "charge",
    [Charge("k", math.nan), Charge("k", -1), Charge("k", -1, 0), Charge("k", 5, 1, math.nan)]
    + [Charge("k", 5, 1, window) for window in (0, -1.0, math.inf)],
)
def test_a_limit_or_a_window_that_is_none_counts_as_used_up(ledger, charge):
    assert ledger.spend([charge], Counters()) is charge


# --- the window ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("per_s", [1.0, 60.0, HOUR, 86400.0, 0.1])
def test_what_was_spent_counts_for_the_whole_window_and_at_most_a_hundredth_longer(ledger, clock, per_s):
    charge = rate(1, per_s=per_s)
    start = clock.now
    assert ledger.spend([charge], Counters()) is None
    clock.now = start + per_s * 0.999
    assert ledger.spend([charge], Counters()) is charge
    clock.now = start + per_s * (1 + 1.001 / SLOTS)
    assert ledger.spend([charge], Counters()) is None


def test_the_window_rolls(ledger, clock):
    """No moment at which all is free again, around which twice the limit would fit."""
    charge = rate(10)
    times = []
    for _ in range(500):
        if ledger.spend([charge], Counters()) is None:
            times.append(clock.now)
        clock.now += HOUR / 100
    assert all(late - early >= HOUR for early, late in zip(times, times[10:], strict=False))
    assert len(times) >= 45


@given(st.lists(st.tuples(st.floats(0, 30), st.floats(0, 5)), max_size=40), st.floats(0.01, 20))
def test_no_window_ever_holds_more_than_its_limit(spends, per_s):
    clock, counters, limit = Clock(), Counters(), 10.0
    done = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_now", clock)
        ledger = Ledger(Path(":memory:"))
        patch.setattr(ledger, "_connected", _in_memory())
        for wait, amount in spends:
            clock.now += wait
            if ledger.spend([Charge("k", limit, amount, per_s)], counters) is None:
                done.append((clock.now, amount))
    for start, _ in done:
        assert sum(a for at, a in done if start <= at < start + per_s * (1 - 1e-6)) <= limit * (1 + 1e-6)


def _in_memory():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(module._TABLES)
    return lambda: connection


def test_a_clock_that_is_set_back_gives_nothing_back(ledger, clock):
    start = clock.now
    assert paid(ledger, rate(2)) == 2
    clock.now = start - 10 * HOUR
    assert paid(ledger, rate(3)) == 1
    clock.now = start + HOUR * 0.99
    assert paid(ledger, rate(3)) == 0, "what was spent meanwhile was spent now, not ten hours ago"


def test_the_latest_time_counts_even_if_nothing_was_spent_then(ledger, clock):
    start = clock.now
    assert paid(ledger, rate(1)) == 1
    clock.now = start + HOUR / 2
    assert ledger.spend([rate(1)], Counters())
    clock.now = start
    assert ledger.spend([rate(2)], Counters()) is None
    clock.now = start + HOUR * 1.4
    assert paid(ledger, rate(2)) == 1


def test_a_new_process_knows_the_latest_time(ledger, path, clock):
    assert paid(ledger, rate(1)) == 1
    clock.now -= 10 * HOUR
    again = Ledger(path)
    assert paid(again, rate(1)) == 0
    again.close()
    clock.now += 10 * HOUR + HOUR / 2
    assert paid(ledger, rate(1)) == 0


def test_a_window_that_the_policy_shortens_lets_go_and_one_that_it_lengthens_remembers(ledger, clock):
    assert paid(ledger, rate(1)) == 1
    clock.now += HOUR / 2
    assert paid(ledger, rate(1, per_s=2 * HOUR)) == 0
    assert paid(ledger, rate(1, per_s=HOUR / 4)) == 1


def test_the_file_stays_small_however_much_is_spent(ledger, path, clock):
    for _ in range(3000):
        assert ledger.spend([rate(1e9)], Counters()) is None
        clock.now += HOUR / 500
    assert len(rows(path)) <= SLOTS + 1
    assert path.stat().st_size < 1 << 16


def test_what_no_rule_asks_for_any_more_goes_when_its_time_is_over(ledger, path, clock):
    for i in range(50):
        assert ledger.spend([rate(1, f"old rule {i}")], Counters()) is None
    assert len(rows(path)) == 50
    clock.now += 2 * HOUR
    assert ledger.spend([rate(1, "new rule")], Counters()) is None
    assert [row[0] for row in rows(path)] == ["new rule"]


# --- many at once -------------------------------------------------------------------------------------

SPENDER = """
import sys, json
from pathlib import Path
from blastwall.state import Counters, Ledger
from blastwall.values import Charge
sys.stdin.readline()
ledger, charges = Ledger(Path(sys.argv[1])), [Charge("a", 1e9, 1, 3600), Charge("b", 50, 1, 3600)]
print(json.dumps([ledger.spend(charges, Counters()) is None for _ in range(40)]))
"""


def test_processes_share_a_window_from_its_first_charge_on(path):
    """They find no file, all at once; what they spend is spent once, and what they don't is not."""
    spenders = [
        subprocess.Popen(
            [sys.executable, "-c", SPENDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(4)
    ]
    for spender in spenders:
        assert spender.stdin is not None
        spender.stdin.write(b"\n")
        spender.stdin.flush()
    done = [json.loads(spender.communicate(timeout=60)[0]) for spender in spenders]
    assert sum(map(sum, done)) == 50
    spent = {}
    for key, _, _, amount in rows(path):
        spent[key] = spent.get(key, 0) + amount
    assert spent == {"a": 50, "b": 50}


@pytest.mark.parametrize("charge", [rate(50), budget(50)])
def test_threads_of_one_session_spend_no_more_than_there_is(ledger, charge):
    counters, done = Counters(), []

    def spend():
        done.append(sum(ledger.spend([charge, budget(1000, "b")], counters) is None for _ in range(20)))

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(done) == 50
    assert counters.used("b") == 50


def test_two_ledgers_of_one_file_in_one_process_don_t_disturb_each_other(path):
    """Opening and closing a file behind SQLite's back would take its locks away."""
    one, other = Ledger(path), Ledger(path)
    assert paid(one, rate(3)) == 3
    assert paid(other, rate(5)) == 2
    other.close()
    assert paid(one, rate(6)) == 1
    one.close()


def test_a_forked_child_gets_a_connection_of_its_own(ledger, path):
    assert paid(ledger, rate(2)) == 2
    context = multiprocessing.get_context("fork")
    replies = context.SimpleQueue()

    def spend():
        replies.put((paid(ledger, rate(5)), len(module._inherited)))

    child = context.Process(target=spend)
    child.start()
    child.join(30)
    assert replies.get() == (3, 1)
    assert paid(ledger, rate(6)) == 1


def test_a_writer_that_dies_in_the_middle_has_spent_nothing(ledger, path):
    """Killed between its writes and their commit."""
    assert paid(ledger, rate(1)) == 1
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom blastwall.state import Counters, Ledger\n"
        "from blastwall.state import ledger as module\nfrom blastwall.values import Charge\n"
        "class Dies:\n"
        "    def __init__(self, real): self.real = real\n"
        "    def __getattr__(self, name): return getattr(self.real, name)\n"
        "    def execute(self, text, *rest):\n"
        "        if text == 'COMMIT': os.kill(os.getpid(), 9)\n"
        "        return self.real.execute(text, *rest)\n"
        "ledger = Ledger(Path(sys.argv[1]))\n"
        "connection = Dies(ledger._connected())\n"
        "ledger._connected = lambda: connection\n"
        "ledger.spend([Charge('mail.send.rate', 100, 50, 3600)], Counters())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], timeout=60)
    assert done.returncode == -9
    assert paid(ledger, rate(3)) == 2


# --- files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_folder_and_files_are_the_owner_s_alone(ledger, path, umask):
    before = os.umask(umask)
    try:
        paid(ledger, rate(3))
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"ledger.sqlite": 0o600, "ledger.sqlite-wal": 0o600, "ledger.sqlite-shm": 0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_was_moved_away_is_not_written_to(ledger, path):
    """The other processes would not see it."""
    assert paid(ledger, rate(2)) == 2
    path.rename(path.with_name("away"))
    other = Ledger(path)
    assert paid(other, rate(3)) == 3
    other.close()
    assert paid(ledger, rate(4)) == 1


def test_a_ledger_that_was_deleted_begins_anew(ledger, path):
    """As the error says one may."""
    assert paid(ledger, rate(2)) == 2
    for file in path.parent.iterdir():
        file.unlink()
    assert paid(ledger, rate(2)) == 2
    assert path.exists()


def test_a_closed_ledger_opens_again(ledger):
    assert paid(ledger, rate(2)) == 2
    ledger.close()
    ledger.close()
    assert paid(ledger, rate(3)) == 1


def test_a_forgotten_ledger_closes_its_file(path):
    ledger = Ledger(path)
    ledger.spend([rate(1)], Counters())
    open_files = {os.readlink(f"/proc/self/fd/{name}") for name in _descriptors()}
    assert str(path) in open_files
    del ledger
    gc.collect()
    assert str(path) not in {os.readlink(f"/proc/self/fd/{name}") for name in _descriptors()}


def _descriptors():
    return [name for name in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{name}")]


@pytest.mark.parametrize(
    ("durability", "waits", "level"), [("process-crash", False, 1), ("power-loss", True, 2)]
)
def test_power_loss_waits_for_the_disk(path, durability, waits, level):
    ledger = Ledger(path, durability=durability)
    assert ledger.waits is waits
    assert ledger.spend([rate(1)], Counters()) is None
    assert ledger._connection.execute("PRAGMA synchronous").fetchone() == (level,)
    assert ledger._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    ledger.close()


# --- what goes wrong ----------------------------------------------------------------------------------


def spoilt(path, make):
    path.parent.mkdir()
    make(path)
    return Ledger(path)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.mkdir(),
        lambda path: path.symlink_to(path.with_name("elsewhere")),
        lambda path: os.mkfifo(path),
        lambda path: path.write_text("this is no database, and long enough to be none" * 100),
    ],
    ids=["folder", "link", "pipe", "no database"],
)
def test_what_is_no_ledger_pays_nothing(path, make):
    ledger, counters = spoilt(path, make), Counters()
    for _ in range(2):
        with pytest.raises(BackendError) as caught:
            ledger.spend([budget(5), rate(5)], counters)
        assert str(caught.value).startswith(f"the ledger {path} can't be used (")
        assert "if it is damaged, move it away" in str(caught.value)
    assert counters.used("session.calls") == 0
    assert ledger.spend([budget(5)], counters) is None
    assert not path.with_name("elsewhere").exists()


def test_a_folder_that_can_not_be_made_pays_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError, match="the ledger .* can't be used "):
        Ledger(tmp_path / "file" / "ledger.sqlite").spend([rate(1)], Counters())


def test_another_s_tables_pay_nothing(path):
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE spent (something TEXT, until REAL)")
    connection.close()
    with pytest.raises(BackendError, match="no such column|has no column"):
        Ledger(path).spend([rate(1)], Counters())


def test_a_ledger_that_somebody_holds_too_long_pays_nothing(ledger, path, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    assert paid(ledger, rate(1)) == 1
    ledger.close()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(BackendError, match="database is locked"):
        ledger.spend([rate(2)], Counters())
    holder.execute("ROLLBACK")
    holder.close()
    assert paid(ledger, rate(2)) == 1


def test_write_ahead_mode_is_waited_for(path, monkeypatch):
    """Another process may be about to set it, and SQLite does not wait for that by itself."""

    class Locked:
        def __init__(self, times):
            self.times = times

        def execute(self, text):
            assert text == "PRAGMA journal_mode = WAL"
            self.times -= 1
            if self.times >= 0:
                raise sqlite3.OperationalError("database is locked")

    module._write_ahead(Locked(2))
    monkeypatch.setattr(module, "PATIENCE_S", 0.03)
    with pytest.raises(sqlite3.OperationalError):
        module._write_ahead(Locked(1000))


def test_a_full_disk_pays_nothing(ledger, path):
    counters = Counters()
    assert ledger.spend([rate(1e9), budget(5)], counters) is None
    pages = ledger._connection.execute("PRAGMA page_count").fetchone()[0]
    ledger._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(BackendError, match=r"\(database or disk is full\)"):
        ledger.spend([rate(5, f"{i} {'x' * 200}") for i in range(500)] + [budget(5)], counters)
    assert counters.used("session.calls") == 1
    assert len(rows(path)) == 1
    assert ledger.spend([rate(1e9)], counters) is None


def test_what_interrupts_it_has_spent_nothing(ledger, monkeypatch):
    def interrupted(charges, now):
        raise KeyboardInterrupt

    counters = Counters()
    with monkeypatch.context() as patch:
        patch.setattr(module, "_rows", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ledger.spend([rate(1), budget(1)], counters)
    assert ledger.spend([rate(1), budget(1)], counters) is None
