-- How much a tenant gets: all of it, or, made by hand, only the number or a number that is imported.

ALTER TABLE tenants ADD COLUMN extent TEXT NOT NULL DEFAULT 'full';
