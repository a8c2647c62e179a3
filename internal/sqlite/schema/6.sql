-- The one row holds the random ID of the repository.
CREATE TABLE repository (
  id TEXT NOT NULL
) STRICT;
INSERT INTO repository (id) VALUES (lower(hex(randomblob(16))));
