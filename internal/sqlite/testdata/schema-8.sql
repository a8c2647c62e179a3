-- A repository of schema 8 with something of every concept, as SQL text.
PRAGMA application_id = 1684829810;
PRAGMA user_version = 8;
BEGIN TRANSACTION;
CREATE TABLE clusters (
  service     TEXT    NOT NULL,
  environment TEXT    NOT NULL,
  region      TEXT    NOT NULL,
  rollout     INTEGER NOT NULL REFERENCES rollouts (seq),
  gone        INTEGER NOT NULL, -- nothing is left of the cluster
  PRIMARY KEY (service, environment, region)
) STRICT, WITHOUT ROWID;
INSERT INTO "clusters" VALUES('web','prod','eu-north-1',1,1);
CREATE TABLE deploys (
  service     TEXT    NOT NULL,
  environment TEXT    NOT NULL,
  number      INTEGER NOT NULL,
  run         TEXT    NOT NULL,
  step        TEXT    NOT NULL,
  at          INTEGER NOT NULL,
  PRIMARY KEY (service, environment),
  FOREIGN KEY (service, number) REFERENCES versions
) STRICT, WITHOUT ROWID;
INSERT INTO "deploys" VALUES('web','prod',1,'r-1','roll out',1793491200000000);
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
  at       INTEGER NOT NULL, log_address TEXT NOT NULL DEFAULT '', output_tail TEXT NOT NULL DEFAULT '',
  UNIQUE (service, id),
  FOREIGN KEY (service, number) REFERENCES versions
) STRICT;
INSERT INTO "events" VALUES(1,'e-1','web',NULL,'r-1','clean','setup.clean','ci-7','succeeded','','','','',1793491200000000,'','');
INSERT INTO "events" VALUES(2,'e-2','web',1,'r-1','unit tests','test.command','ci-7','succeeded','cached','2 tests passed','{"passed":2}','{"url":"https://example.com"}',1793491200000000,'s3://logs/web/r-1/unit%20tests.log','1 test failed');
CREATE TABLE images (
  region        TEXT    NOT NULL,
  id            TEXT    NOT NULL,
  service       TEXT    NOT NULL,
  number        INTEGER NOT NULL,
  architecture  TEXT    NOT NULL,
  digest        TEXT    NOT NULL,
  run           TEXT    NOT NULL,
  registered_at INTEGER NOT NULL, bake   TEXT NOT NULL DEFAULT '', status TEXT NOT NULL DEFAULT 'available',
  PRIMARY KEY (region, id),
  FOREIGN KEY (service, number) REFERENCES versions
) STRICT, WITHOUT ROWID;
INSERT INTO "images" VALUES('eu-north-1','ami-1','web',1,'arm64','sha256:1','r-1',1793491200000000,'b-1','replaced');
CREATE TABLE leases (
  service     TEXT    NOT NULL,
  name        TEXT    NOT NULL,
  holder      TEXT    NOT NULL, -- empty once it was released
  token       INTEGER NOT NULL CHECK (token > 0),
  acquired_at INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL,
  PRIMARY KEY (service, name)
) STRICT, WITHOUT ROWID;
INSERT INTO "leases" VALUES('web','cluster:prod:eu-north-1','ada@ci-7',1,1793491200000000,1793491260000000);
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
INSERT INTO "promotions" VALUES(1,'web',1,'passed_test','["test"]','r-1',1793491200000000);
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
INSERT INTO "rollout_entries" VALUES(1,1,'make_template:web-prod-bcdfghjk',0,'began','',1793491200000000);
INSERT INTO "rollout_entries" VALUES(1,2,'make_template:web-prod-bcdfghjk',1,'failed','refused',1793491200000000);
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
INSERT INTO "rollouts" VALUES(1,'o-1','web','prod','eu-north-1','','0.1.0',X'7B22666F726D6174223A317D','failed',X'7B22666F726D6174223A317D',1,'grace@laptop',1793491200000000,1793491200000000);
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
INSERT INTO "runs" VALUES('web','r-1',1,'ci',X'7B22666F726D6174223A312C226E616D65223A226369227D','{"owner_team":"fruit"}','bake','','abc','','ada@ci-7','started','',1793491200000000,1793491201000000,NULL);
CREATE TABLE stages (
  service   TEXT    NOT NULL,
  stage     TEXT    NOT NULL,
  promotion INTEGER NOT NULL REFERENCES promotions (seq),
  PRIMARY KEY (service, stage)
) STRICT, WITHOUT ROWID;
INSERT INTO "stages" VALUES('web','passed_test',1);
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
INSERT INTO "versions" VALUES('api',1,'1','sequence','run-1','','{}',1793491200000000,NULL,NULL,'','');
INSERT INTO "versions" VALUES('web',1,'0.1.0','semver','run-1','abc','{"branch":"main"}',1793491200000000,NULL,NULL,'0.1.0','');
INSERT INTO "versions" VALUES('web',2,'2026.11.1','calver',NULL,'','{}',1793491200000000,1793491200000000,'loses orders','0.1.0','2026.11.1');
CREATE TABLE repository (
  id TEXT NOT NULL
) STRICT;
INSERT INTO "repository" VALUES('0123456789abcdef0123456789abcdef');
CREATE UNIQUE INDEX versions_by_name ON versions (service, name);
CREATE UNIQUE INDEX versions_by_key  ON versions (service, key) WHERE key IS NOT NULL;
CREATE INDEX events_by_version ON events (service, number, seq);
CREATE INDEX events_by_run     ON events (service, run, seq) WHERE run != '';
CREATE INDEX images_by_version ON images (service, number, region, architecture, id);
CREATE INDEX rollouts_by_cluster  ON rollouts (service, environment, region, seq);
CREATE UNIQUE INDEX rollouts_open ON rollouts (service, environment, region) WHERE status = 'started';
CREATE INDEX clusters_present ON clusters (service, environment, region, rollout) WHERE NOT gone;
CREATE INDEX runs_by_version ON runs (service, number, id);
CREATE INDEX runs_open       ON runs (service, id) WHERE status = 'started';
CREATE INDEX promotions_by_stage   ON promotions (service, stage, seq);
CREATE INDEX promotions_by_version ON promotions (service, number, seq);
COMMIT;
