-- All times are microseconds since 1970.

-- One row a version. Rows are never deleted, so the newest number + 1 never
-- repeats. Each row carries the service's latest names forward, so that the
-- newest row alone says what comes next; an index for it would cost a page on
-- every commit.
CREATE TABLE versions (
  service         TEXT    NOT NULL,
  number          INTEGER NOT NULL CHECK (number > 0),
  name            TEXT    NOT NULL,
  scheme          TEXT    NOT NULL,
  key             TEXT,
  source_revision TEXT    NOT NULL,
  labels          TEXT    NOT NULL, -- an object in JSON
  created_at      INTEGER NOT NULL,
  revoked_at      INTEGER,
  revoked_reason  TEXT,
  latest_semver   TEXT    NOT NULL,
  latest_calver   TEXT    NOT NULL,
  PRIMARY KEY (service, number)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX versions_by_name ON versions (service, name);
CREATE UNIQUE INDEX versions_by_key  ON versions (service, key) WHERE key IS NOT NULL;

-- Append-only; seq is the order of appending. An event may come before its run
-- has a version, so the number may be null.
CREATE TABLE events (
  seq      INTEGER PRIMARY KEY AUTOINCREMENT,
  id       TEXT    NOT NULL,
  service  TEXT    NOT NULL,
  number   INTEGER,
  run      TEXT    NOT NULL,
  step     TEXT    NOT NULL,
  type     TEXT    NOT NULL,
  location TEXT    NOT NULL,
  status   TEXT    NOT NULL,
  reason   TEXT    NOT NULL, -- a code, or empty
  message  TEXT    NOT NULL,
  report   TEXT    NOT NULL,
  outputs  TEXT    NOT NULL, -- an object in JSON, or empty
  at       INTEGER NOT NULL,
  UNIQUE (service, id),
  FOREIGN KEY (service, number) REFERENCES versions
) STRICT;
CREATE INDEX events_by_version ON events (service, number, seq);
CREATE INDEX events_by_run     ON events (service, run, seq) WHERE run != '';

CREATE TABLE images (
  region        TEXT    NOT NULL,
  id            TEXT    NOT NULL,
  service       TEXT    NOT NULL,
  number        INTEGER NOT NULL,
  architecture  TEXT    NOT NULL,
  digest        TEXT    NOT NULL,
  run           TEXT    NOT NULL,
  registered_at INTEGER NOT NULL,
  PRIMARY KEY (region, id),
  FOREIGN KEY (service, number) REFERENCES versions
) STRICT, WITHOUT ROWID;
CREATE INDEX images_by_version ON images (service, number, region, architecture, id);

-- One row a name. It stays after the lease was released, so that tokens rise
-- for ever.
CREATE TABLE leases (
  service     TEXT    NOT NULL,
  name        TEXT    NOT NULL,
  holder      TEXT    NOT NULL, -- empty once it was released
  token       INTEGER NOT NULL CHECK (token > 0),
  acquired_at INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL,
  PRIMARY KEY (service, name)
) STRICT, WITHOUT ROWID;

-- Rows are never deleted; seq is the order of beginning.
CREATE TABLE rollouts (
  seq                INTEGER PRIMARY KEY AUTOINCREMENT,
  id                 TEXT    NOT NULL,
  service            TEXT    NOT NULL,
  environment        TEXT    NOT NULL,
  region             TEXT    NOT NULL,
  from_version       TEXT    NOT NULL,
  to_version         TEXT    NOT NULL,
  plan               BLOB    NOT NULL,
  status             TEXT    NOT NULL,
  result             BLOB,
  gone               INTEGER NOT NULL, -- nothing is left of the cluster
  abort_requested_by TEXT    NOT NULL,
  started_at         INTEGER NOT NULL,
  ended_at           INTEGER,
  UNIQUE (service, id)
) STRICT;
CREATE INDEX rollouts_by_cluster  ON rollouts (service, environment, region, seq);
-- A cluster has one open rollout at most; the index holds nothing else.
CREATE UNIQUE INDEX rollouts_open ON rollouts (service, environment, region) WHERE status = 'started';

-- Append-only; seq is the order within the rollout.
CREATE TABLE rollout_entries (
  rollout INTEGER NOT NULL REFERENCES rollouts (seq),
  seq     INTEGER NOT NULL,
  step    TEXT    NOT NULL,
  undo    INTEGER NOT NULL,
  phase   TEXT    NOT NULL,
  note    TEXT    NOT NULL,
  at      INTEGER NOT NULL,
  PRIMARY KEY (rollout, seq)
) STRICT, WITHOUT ROWID;

-- The latest rollout of each cluster, so that what there is now can be asked
-- without reading the history.
CREATE TABLE clusters (
  service     TEXT    NOT NULL,
  environment TEXT    NOT NULL,
  region      TEXT    NOT NULL,
  rollout     INTEGER NOT NULL REFERENCES rollouts (seq),
  gone        INTEGER NOT NULL, -- nothing is left of the cluster
  PRIMARY KEY (service, environment, region)
) STRICT, WITHOUT ROWID;
CREATE INDEX clusters_present ON clusters (service, environment, region, rollout) WHERE NOT gone;

-- One row a run; the row changes until the run has ended.
CREATE TABLE runs (
  service     TEXT    NOT NULL,
  id          TEXT    NOT NULL,
  number      INTEGER,
  pipe        TEXT    NOT NULL,
  definition  BLOB    NOT NULL,
  context     TEXT    NOT NULL, -- an object in JSON
  to_step     TEXT    NOT NULL,
  only_step   TEXT    NOT NULL,
  revision    TEXT    NOT NULL,
  untraceable TEXT    NOT NULL,
  holder      TEXT    NOT NULL,
  status      TEXT    NOT NULL,
  message     TEXT    NOT NULL,
  started_at  INTEGER NOT NULL,
  seen_at     INTEGER NOT NULL,
  ended_at    INTEGER,
  PRIMARY KEY (service, id),
  FOREIGN KEY (service, number) REFERENCES versions
) STRICT;
CREATE INDEX runs_by_version ON runs (service, number, id);
CREATE INDEX runs_open       ON runs (service, id) WHERE status = 'started';

-- Append-only; seq is the order of promotion.
CREATE TABLE promotions (
  seq      INTEGER PRIMARY KEY AUTOINCREMENT,
  service  TEXT    NOT NULL,
  number   INTEGER NOT NULL,
  stage    TEXT    NOT NULL,
  requires TEXT    NOT NULL, -- an array in JSON
  run      TEXT    NOT NULL,
  at       INTEGER NOT NULL,
  FOREIGN KEY (service, number) REFERENCES versions
) STRICT;
CREATE INDEX promotions_by_stage   ON promotions (service, stage, seq);
CREATE INDEX promotions_by_version ON promotions (service, number, seq);

-- The latest promotion to each stage.
CREATE TABLE stages (
  service   TEXT    NOT NULL,
  stage     TEXT    NOT NULL,
  promotion INTEGER NOT NULL REFERENCES promotions (seq),
  PRIMARY KEY (service, stage)
) STRICT, WITHOUT ROWID;
