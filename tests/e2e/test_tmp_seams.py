from __future__ import annotations
import signal
import pytest
from kolspider.sandbox import Fault
from tests.e2e.processes import finish
from tests.e2e.test_watch import *
from tests.e2e.test_watch import watched, pass_days, watch, asked, read
for n in [n for n in list(globals()) if n.startswith("test_")]: del globals()[n]

def test_e1(make_project):
    p = make_project({"big": 450})
    f = p.folder / "mine.toml"
    f.write_text('like = "twitterapi_io"\nname = "mine"\nurl = "http://x.invalid"\n[list]\npage_size = 100\n')
    r = p.crawl("-a", "max_calls=30", env={"KOL_API_PROVIDER": str(f)})
    print(r.out, r.err); print(asked(p))
    assert 0

MANY = {f"k{n}": 30 for n in range(250)}
def test_e2(make_project):
    p = watched(make_project, MANY)
    for k in ("k3", "k150"): p.api.follow(k, 2)
    pass_days(p)
    r = p.crawl("-a", "watch=1d", "-a", "max_calls=2")
    print(r.out, r.err); print(asked(p))
    p.api.clear_calls()
    r = p.crawl("-a", "watch=1d")
    print(r.out, r.err); print(asked(p))
    assert 0

def test_e3(make_project):
    p = watched(make_project, balance=100000)
    p.api.set_faults({"*": Fault("no_credit", kind="profiles", times=None)})
    r = watch(p)
    print(r.out, r.err); print(asked(p))
    assert 0

def test_e5(make_project):
    p = watched(make_project)
    p.api.suspend("mid")
    r = watch(p); print(r.out, r.err, asked(p))
    p.api.restore("mid")
    r = watch(p, "-a", "retry=not_found"); print(r.out, r.err, asked(p))
    assert 0

def test_e7(make_project):
    p = make_project(KOLS, follows=True)
    r = p.crawl("-a", "watch=1d", "-a", "dry_run=1"); print(r.out, r.err, asked(p))
    r = p.crawl("-a", "watch=1d"); print(r.out, r.err, asked(p))
    assert 0

def test_e8(make_project):
    p = watched(make_project, MANY)
    pass_days(p)
    for k in ("k3", "k150"): p.api.follow(k, 2)
    pr = p.start_crawl_and_hold(1, "-a", "watch=1d", calls=3)
    pr.send_signal(signal.SIGINT)
    import time; time.sleep(1)
    p.api.release()
    r = finish(pr); print(r.out, r.err, asked(p))
    p.api.clear_calls()
    r = p.crawl("-a", "watch=1d"); print(r.out, r.err, asked(p))
    assert 0
