-- The images of one bake become available together, and replace those of the
-- bakes before. Images that were registered before were available at once.
ALTER TABLE images ADD COLUMN bake   TEXT NOT NULL DEFAULT '';
ALTER TABLE images ADD COLUMN status TEXT NOT NULL DEFAULT 'available';
