-- Where the log of a step was sent, and the end of a failed step's output.
ALTER TABLE events ADD COLUMN log_address TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN output_tail TEXT NOT NULL DEFAULT '';
