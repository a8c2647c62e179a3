-- An event may come before its run has a version, so the number may be null;
-- SQLite changes that only in a new table. Those that are there keep their order.
CREATE TABLE new_events (
  seq     INTEGER PRIMARY KEY AUTOINCREMENT,
  id      TEXT    NOT NULL UNIQUE,
  service TEXT    NOT NULL,
  number  INTEGER,
  run     TEXT    NOT NULL,
  step    TEXT    NOT NULL,
  what    TEXT    NOT NULL,
  place   TEXT    NOT NULL,
  status  TEXT    NOT NULL,
  message TEXT    NOT NULL,
  report  TEXT    NOT NULL,
  outputs TEXT    NOT NULL, -- an object in JSON, or empty
  at      INTEGER NOT NULL,
  FOREIGN KEY (service, number) REFERENCES versions
) STRICT;
INSERT INTO new_events SELECT seq, id, service, number, run, '', what, place, status, message, report, '', at FROM events;
DROP TABLE events;
ALTER TABLE new_events RENAME TO events;
CREATE INDEX events_by_version ON events (service, number, seq);
CREATE INDEX events_by_run     ON events (run, seq) WHERE run != '';

-- One row a run; the row changes until the run is at its end.
CREATE TABLE runs (
  id          TEXT    NOT NULL PRIMARY KEY,
  service     TEXT    NOT NULL,
  number      INTEGER,
  pipe        TEXT    NOT NULL,
  definition  BLOB    NOT NULL,
  context     TEXT    NOT NULL, -- an object in JSON
  only_part   TEXT    NOT NULL,
  revision    TEXT    NOT NULL,
  untraceable TEXT    NOT NULL,
  holder      TEXT    NOT NULL,
  status      TEXT    NOT NULL,
  message     TEXT    NOT NULL,
  started_at  INTEGER NOT NULL,
  seen_at     INTEGER NOT NULL,
  ended_at    INTEGER,
  FOREIGN KEY (service, number) REFERENCES versions
) STRICT;
CREATE INDEX runs_by_service ON runs (service, id);
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
