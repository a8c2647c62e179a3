-- The latest deploy of each service to each environment.
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
