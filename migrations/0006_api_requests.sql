-- Orders that came through the API under a key of the caller's: the same key means the same number.

CREATE TABLE api_requests (
  actor TEXT NOT NULL,
  request_key TEXT NOT NULL,
  body_hash TEXT NOT NULL,
  number TEXT,
  sid TEXT,
  is_done INTEGER NOT NULL DEFAULT 0,
  held_until_ms BIGINT,
  holder TEXT,
  created_at_ms BIGINT NOT NULL,
  PRIMARY KEY (actor, request_key)
) /*strict*/;
