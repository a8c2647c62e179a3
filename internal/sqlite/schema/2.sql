-- One row a name. It stays after the lease was released, so that tokens rise
-- for ever.
CREATE TABLE leases (
  name        TEXT    NOT NULL PRIMARY KEY,
  holder      TEXT    NOT NULL, -- empty once it was released
  token       INTEGER NOT NULL CHECK (token > 0),
  acquired_at INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Rows are never deleted; seq is the order of beginning.
CREATE TABLE rollouts (
  seq                INTEGER PRIMARY KEY AUTOINCREMENT,
  id                 TEXT    NOT NULL UNIQUE,
  service            TEXT    NOT NULL,
  environment        TEXT    NOT NULL,
  region             TEXT    NOT NULL,
  from_version       TEXT    NOT NULL,
  to_version         TEXT    NOT NULL,
  plan               BLOB    NOT NULL,
  status             TEXT    NOT NULL,
  result             BLOB,
  abort_requested_by TEXT    NOT NULL,
  started_at         INTEGER NOT NULL,
  ended_at           INTEGER
) STRICT;
CREATE INDEX rollouts_by_cluster  ON rollouts (service, environment, region, seq);
-- A cluster has one open rollout at most; the index holds nothing else.
CREATE UNIQUE INDEX rollouts_open ON rollouts (service, environment, region) WHERE status = 'started';

-- Append-only; seq is the order within the rollout.
CREATE TABLE rollout_entries (
  rollout TEXT    NOT NULL REFERENCES rollouts (id),
  seq     INTEGER NOT NULL,
  step    TEXT    NOT NULL,
  undo    INTEGER NOT NULL,
  phase   TEXT    NOT NULL,
  note    TEXT    NOT NULL,
  at      INTEGER NOT NULL,
  PRIMARY KEY (rollout, seq)
) STRICT, WITHOUT ROWID;
