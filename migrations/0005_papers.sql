-- Addresses on file at the telephony account, and which papers a number is bought with.

CREATE TABLE address_registrations (
  tag TEXT PRIMARY KEY,
  country TEXT NOT NULL,
  sid TEXT,
  said_hash TEXT,
  began_at_ms BIGINT NOT NULL,
  open_until_ms BIGINT,
  refused TEXT,
  refused_at_ms BIGINT
) /*strict*/;

ALTER TABLE intents ADD COLUMN address_sid TEXT;
ALTER TABLE intents ADD COLUMN bundle_sid TEXT;
