-- One row a version. Rows are never deleted, so max(number)+1 never repeats.
-- Each row carries the service's latest names forward, so that the newest row
-- alone says what comes next; an index for it would cost a page on every commit.
CREATE TABLE versions (
  service         TEXT    NOT NULL,
  number          INTEGER NOT NULL CHECK (number > 0),
  name            TEXT    NOT NULL,
  scheme          TEXT    NOT NULL,
  key             TEXT,
  source_revision TEXT    NOT NULL,
  labels          TEXT    NOT NULL,
  created_at      INTEGER NOT NULL, -- microseconds since 1970, as all times here
  revoked_at      INTEGER,
  revoked_reason  TEXT,
  latest_semver   TEXT    NOT NULL,
  latest_calver   TEXT    NOT NULL,
  PRIMARY KEY (service, number)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX versions_by_name ON versions (service, name);
CREATE UNIQUE INDEX versions_by_key  ON versions (key) WHERE key IS NOT NULL;

-- Append-only; seq is the order of appending.
CREATE TABLE events (
  seq     INTEGER PRIMARY KEY AUTOINCREMENT,
  id      TEXT    NOT NULL UNIQUE,
  service TEXT    NOT NULL,
  number  INTEGER NOT NULL,
  run     TEXT    NOT NULL,
  what    TEXT    NOT NULL,
  place   TEXT    NOT NULL,
  status  TEXT    NOT NULL,
  message TEXT    NOT NULL,
  report  TEXT    NOT NULL,
  at      INTEGER NOT NULL,
  FOREIGN KEY (service, number) REFERENCES versions
) STRICT;
CREATE INDEX events_by_version ON events (service, number, seq);
CREATE INDEX events_by_run     ON events (service, number, run, seq);

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
