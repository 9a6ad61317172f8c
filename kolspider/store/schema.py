"""The tables of the store, as SQLite reads them."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ADDED", "FIRST_VERSION", "SCHEMA", "VERSION", "Kind"]

FIRST_VERSION = 4
"""Format of the first release, 1.0.0."""

ADDED = {
    5: """
CREATE TABLE refused (              -- rows that a target's database refused
  target INTEGER NOT NULL, provider TEXT NOT NULL, handle TEXT NOT NULL, seq INTEGER NOT NULL,
  what TEXT NOT NULL,                       -- account, follow, reading: which table refused it
  id TEXT NOT NULL, reason TEXT NOT NULL,
  PRIMARY KEY (target, provider, handle, seq, what, id)
) WITHOUT ROWID;
CREATE INDEX refused_account ON refused (target, what, id, seq);
""",
    6: """
CREATE TABLE account (              -- what the last profile of a KOL's account said, whichever provider's it was
  handle TEXT NOT NULL PRIMARY KEY,         -- the KOL's in the other tables: that under which it was first known
  id TEXT NOT NULL,                         -- '' where no answer has told it
  user_name TEXT NOT NULL,                  -- its name now; '' if another account has it
  following INTEGER, protected BOOLEAN,     -- NULL where the profile does not say
  gone TEXT NOT NULL,                       -- why the account can't be seen; '' if it can
  read_at REAL NOT NULL,                    -- unix seconds
  promise REAL NOT NULL DEFAULT 0           -- new follows that looks expect since the last reading; 0: not worth one
) WITHOUT ROWID;
CREATE INDEX account_name ON account (lower(user_name));
CREATE TABLE short_reading (        -- full readings that came much shorter than the profile says
  provider TEXT NOT NULL, handle TEXT NOT NULL, generation INTEGER NOT NULL,
  following INTEGER NOT NULL,               -- accounts that the KOL follows by its profile
  PRIMARY KEY (provider, handle, generation)
) WITHOUT ROWID;
CREATE TABLE account_change (       -- what looks found to be different from the look before
  seq INTEGER PRIMARY KEY AUTOINCREMENT, handle TEXT NOT NULL, at REAL NOT NULL,
  what TEXT NOT NULL,                       -- renamed, protected, gone, back, replaced
  detail TEXT NOT NULL                      -- the new name, or why it is gone
);
CREATE TABLE bill (                 -- what the customer's account said that a run cost
  run INTEGER PRIMARY KEY, credits REAL NOT NULL, usd REAL NOT NULL
);
CREATE TABLE alert (                -- the outbox: what is to be sent
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,                  -- the same one whenever the same event is found
  rule TEXT NOT NULL, run INTEGER NOT NULL, -- a rule's alerts of one run are one message
  raised_at REAL NOT NULL,                  -- unix seconds
  content TEXT NOT NULL,                    -- JSON, as a webhook gets it
  done BOOLEAN NOT NULL DEFAULT FALSE       -- every receiver there was has got it
);
CREATE INDEX alert_open ON alert (run, rule, seq) WHERE NOT done;
CREATE TABLE alert_sent (           -- which receiver has got which open alert
  alert INTEGER NOT NULL, receiver TEXT NOT NULL,   -- a hash: the address is a secret
  PRIMARY KEY (alert, receiver)
) WITHOUT ROWID;
""",
    7: """
CREATE TABLE alert_waiting (        -- alerts that come into the outbox once it was asked why their follow is gone
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
  rule TEXT NOT NULL, run INTEGER NOT NULL, raised_at REAL NOT NULL, content TEXT NOT NULL,     -- as in alert
  account TEXT NOT NULL, since TEXT NOT NULL        -- who is lost, and since when: UTC, YYYY-MM-DD HH:MM:SS
);
CREATE TABLE lost_account (         -- what the profiles of lost accounts said
  id TEXT NOT NULL, read_at REAL NOT NULL,  -- unix seconds
  reason TEXT NOT NULL,                     -- unfollowed, protected, suspended, gone
  user_name TEXT NOT NULL,                  -- its name then; '' if it was not told
  PRIMARY KEY (id, read_at)
) WITHOUT ROWID;
""",
}
"""The tables that each format added to the one before. A run upgrades an older file, back to the first release's."""
VERSION = max(ADDED)
"""Format of the file, in its user_version."""

SCHEMA = (
    "".join(ADDED.values())
    + """
CREATE TABLE kol (                  -- the ledger: what is known of each KOL's list
  provider TEXT NOT NULL, handle TEXT NOT NULL, user_name TEXT NOT NULL,
  generation INTEGER NOT NULL DEFAULT 0,    -- raised by a refresh, a retry, a refused cursor
  state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',
  pages INTEGER NOT NULL DEFAULT 0, users INTEGER NOT NULL DEFAULT 0, calls INTEGER NOT NULL DEFAULT 0,
  restarts INTEGER NOT NULL DEFAULT 0,      -- 1 after a refused cursor, 2 after another one: then no more
  started_at REAL, finished_at REAL,        -- unix seconds
  PRIMARY KEY (provider, handle)
) WITHOUT ROWID;
CREATE TABLE page (                 -- the response cache: whole good pages only
  seq INTEGER PRIMARY KEY AUTOINCREMENT,    -- the order of fetching
  provider TEXT NOT NULL, handle TEXT NOT NULL, generation INTEGER NOT NULL, cursor TEXT NOT NULL,
  number INTEGER NOT NULL, users INTEGER NOT NULL, fetched_at REAL NOT NULL,
  rejects_written BOOLEAN NOT NULL DEFAULT FALSE,
  body BLOB NOT NULL,                       -- zstd, with a checksum
  UNIQUE (provider, handle, generation, cursor)
);
CREATE TABLE target (id INTEGER PRIMARY KEY, label TEXT NOT NULL UNIQUE);
CREATE TABLE page_load (            -- pages whose rows are committed in a target
  seq INTEGER NOT NULL, target INTEGER NOT NULL,
  again BOOLEAN NOT NULL DEFAULT FALSE,     -- to be written again, after an older page that came late
  PRIMARY KEY (seq, target)
) WITHOUT ROWID;
CREATE TABLE kol_load (             -- lists that are completely in a target
  target INTEGER NOT NULL, provider TEXT NOT NULL, handle TEXT NOT NULL,
  generation INTEGER NOT NULL, loaded_at REAL NOT NULL,
  PRIMARY KEY (target, provider, handle)
) WITHOUT ROWID;
CREATE TABLE note (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE run (                  -- the history, one row a run; it decides nothing, and outlives pages and progress
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  provider TEXT NOT NULL, target INTEGER NOT NULL,
  mode TEXT NOT NULL,                       -- buy, dry run, replay
  asked TEXT NOT NULL,                      -- the command as typed, without secrets
  started_at REAL NOT NULL, updated_at REAL NOT NULL, finished_at REAL,     -- unix seconds
  exit_code INTEGER, stopped TEXT NOT NULL DEFAULT '',      -- NULL while it runs, and forever if it was killed
  unbegun INTEGER,                          -- KOLs of the source table that no run has begun; NULL if it was not read
  selected INTEGER NOT NULL DEFAULT 0, states TEXT NOT NULL DEFAULT '{}',   -- JSON: how many of them are in each state
  calls INTEGER NOT NULL DEFAULT 0, pages INTEGER NOT NULL DEFAULT 0, cache_hits INTEGER NOT NULL DEFAULT 0,
  users INTEGER NOT NULL DEFAULT 0, rows INTEGER NOT NULL DEFAULT 0, rejects INTEGER NOT NULL DEFAULT 0,
  credits INTEGER NOT NULL DEFAULT 0, dollars REAL NOT NULL DEFAULT 0, db_retries INTEGER NOT NULL DEFAULT 0,
  errors TEXT NOT NULL DEFAULT '{}'         -- JSON: how many of the API's answers were each kind of error
);
CREATE TABLE sample (               -- a run's counters over time, for plots
  run INTEGER NOT NULL, at REAL NOT NULL, calls INTEGER NOT NULL, pages INTEGER NOT NULL, users INTEGER NOT NULL,
  rows INTEGER NOT NULL, credits INTEGER NOT NULL,
  PRIMARY KEY (run, at)
) WITHOUT ROWID;
CREATE TABLE crawl (                -- every reading of a KOL's list
  provider TEXT NOT NULL, handle TEXT NOT NULL, generation INTEGER NOT NULL,
  kind TEXT NOT NULL,                       -- full, or incremental: ends where every account is known
  state TEXT NOT NULL DEFAULT 'fetching',
  started_at REAL NOT NULL, ended_at REAL,  -- unix seconds
  pages INTEGER NOT NULL DEFAULT 0, users INTEGER NOT NULL DEFAULT 0, calls INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (provider, handle, generation)
) WITHOUT ROWID;
CREATE TABLE increment (            -- how many accounts an incremental reading found that were not known
  provider TEXT NOT NULL, handle TEXT NOT NULL, generation INTEGER NOT NULL, new INTEGER NOT NULL,
  PRIMARY KEY (provider, handle, generation)
) WITHOUT ROWID;
"""
)


class Kind(StrEnum):
    """What a reading is meant to be; one that reaches the end of the list is full, whatever it was meant to be."""

    FULL = "full"
    INCREMENTAL = "incremental"
