-- The store and the locks in PostgreSQL: tables, and one function an operation. Run as one transaction; idempotent.
--
-- Every function is VOLATILE (the default), so that each statement in it has a snapshot of its own, and begins with
-- `alone`: it waits until no other operation is in progress on this key, and only then reads the clock. Without it
-- an operation that waited for a row's lock would decide with the time and the version from before it waited.

CREATE SCHEMA IF NOT EXISTS holdwater;

CREATE TABLE IF NOT EXISTS holdwater.state (
  key text COLLATE "C" PRIMARY KEY,
  kind text COLLATE "C" NOT NULL,
  value text NOT NULL,
  version bigint NOT NULL,
  expires_at timestamptz
);
CREATE INDEX IF NOT EXISTS state_by_kind ON holdwater.state (kind, key);

CREATE TABLE IF NOT EXISTS holdwater.lock (
  name text COLLATE "C" PRIMARY KEY,
  owner text NOT NULL,
  token bigint NOT NULL,
  expires_at timestamptz NOT NULL
);

CREATE TABLE IF NOT EXISTS holdwater.entry (
  index text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  time_ms bigint NOT NULL,
  PRIMARY KEY (index, key)
);
CREATE INDEX IF NOT EXISTS entry_by_time ON holdwater.entry (index, time_ms);

-- Fencing tokens: a sequence and no counter in a row, whose lock would make all grants wait for the one that waits for a standby.
CREATE SEQUENCE IF NOT EXISTS holdwater.fence;

-- A text of its own for probes: written at one node, read at another.
CREATE TABLE IF NOT EXISTS holdwater.marker (name text PRIMARY KEY, value text NOT NULL);

CREATE OR REPLACE FUNCTION holdwater.alone(what text, key text) RETURNS timestamptz LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended(what || ' ' || key, 0));
  RETURN clock_timestamp();
END $$;

-- State

CREATE OR REPLACE FUNCTION holdwater.check_and_set(k text, v text, ttl_ms bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  now timestamptz := holdwater.alone('state', k);
BEGIN
  INSERT INTO holdwater.state AS s VALUES (k, split_part(k, ':', 3), v, 1, now + ttl_ms * interval '1 millisecond')
  ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = 1, expires_at = excluded.expires_at WHERE s.expires_at <= now;
  RETURN FOUND;
END $$;

CREATE OR REPLACE FUNCTION holdwater.get(k text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  now timestamptz := holdwater.alone('state', k);
BEGIN
  RETURN (SELECT s.value FROM holdwater.state AS s WHERE s.key = k AND (s.expires_at IS NULL OR s.expires_at > now));
END $$;

CREATE OR REPLACE FUNCTION holdwater.get_versioned(k text, OUT v text, OUT n bigint) LANGUAGE plpgsql AS $$
DECLARE
  now timestamptz := holdwater.alone('state', k);
BEGIN
  SELECT s.value, s.version INTO v, n FROM holdwater.state AS s WHERE s.key = k AND (s.expires_at IS NULL OR s.expires_at > now);
END $$;

CREATE OR REPLACE FUNCTION holdwater.set(k text, v text, ttl_ms bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  now timestamptz := holdwater.alone('state', k);
BEGIN
  INSERT INTO holdwater.state AS s VALUES (k, split_part(k, ':', 3), v, 1, now + ttl_ms * interval '1 millisecond')
  ON CONFLICT (key) DO UPDATE SET
    value = excluded.value,
    version = CASE WHEN s.expires_at <= now THEN 1 ELSE s.version + 1 END,
    expires_at = excluded.expires_at;
  RETURN FOUND;
END $$;

CREATE OR REPLACE FUNCTION holdwater.delete(k text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  now timestamptz := holdwater.alone('state', k);
  live boolean := false;
BEGIN
  DELETE FROM holdwater.state AS s WHERE s.key = k RETURNING s.expires_at IS NULL OR s.expires_at > now INTO live;
  RETURN coalesce(live, false);
END $$;

CREATE OR REPLACE FUNCTION holdwater.increment(k text, delta bigint, ttl_ms bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  now timestamptz := holdwater.alone('state', k);
  found_value text;
  found_version bigint;
  found_expiry timestamptz;
  sum numeric;
BEGIN
  SELECT s.value, s.version, s.expires_at INTO found_value, found_version, found_expiry
  FROM holdwater.state AS s WHERE s.key = k AND (s.expires_at IS NULL OR s.expires_at > now);
  IF NOT FOUND THEN
    found_value := '0';
    found_version := 0;
  END IF;
  IF length(found_value) > 20 OR found_value !~ '^-?(0|[1-9][0-9]*)$' OR found_value::numeric NOT BETWEEN -9223372036854775808 AND 9223372036854775807 THEN
    RETURN NULL; -- no int64
  END IF;
  sum := found_value::numeric + delta;
  IF sum NOT BETWEEN -9223372036854775808 AND 9223372036854775807 THEN
    RETURN NULL; -- would overflow
  END IF;
  IF ttl_ms IS NOT NULL THEN
    found_expiry := now + ttl_ms * interval '1 millisecond';
  END IF;
  INSERT INTO holdwater.state VALUES (k, split_part(k, ':', 3), sum::text, found_version + 1, found_expiry)
  ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version, expires_at = excluded.expires_at;
  RETURN sum::bigint;
END $$;

CREATE OR REPLACE FUNCTION holdwater.compare_and_swap(
  k text, expected bigint, new_value text, ttl_ms bigint, OUT swapped boolean, OUT n bigint, OUT v text
) LANGUAGE plpgsql AS $$
DECLARE
  now timestamptz := holdwater.alone('state', k);
BEGIN
  SELECT s.value, s.version INTO v, n FROM holdwater.state AS s WHERE s.key = k AND (s.expires_at IS NULL OR s.expires_at > now);
  n := coalesce(n, 0);
  swapped := n = expected;
  IF swapped THEN
    n := n + 1;
    INSERT INTO holdwater.state VALUES (k, split_part(k, ':', 3), new_value, n, now + ttl_ms * interval '1 millisecond')
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version, expires_at = excluded.expires_at;
  END IF;
END $$;

-- Locks

CREATE OR REPLACE FUNCTION holdwater.grant(lock_name text, new_owner text, ttl_ms bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  now timestamptz := holdwater.alone('lock', lock_name);
  new_token bigint;
BEGIN
  PERFORM 1 FROM holdwater.lock AS l WHERE l.name = lock_name AND l.expires_at > now;
  IF FOUND THEN
    RETURN NULL;
  END IF;
  new_token := nextval('holdwater.fence');
  INSERT INTO holdwater.lock VALUES (lock_name, new_owner, new_token, now + ttl_ms * interval '1 millisecond')
  ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, token = excluded.token, expires_at = excluded.expires_at;
  RETURN new_token;
END $$;

CREATE OR REPLACE FUNCTION holdwater.extend(lock_name text, by_owner text, duration_ms bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  now timestamptz := holdwater.alone('lock', lock_name);
BEGIN
  UPDATE holdwater.lock AS l SET expires_at = now + duration_ms * interval '1 millisecond'
  WHERE l.name = lock_name AND l.owner = by_owner AND l.expires_at > now;
  RETURN FOUND;
END $$;

CREATE OR REPLACE FUNCTION holdwater.release(lock_name text, by_owner text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  now timestamptz := holdwater.alone('lock', lock_name);
BEGIN
  DELETE FROM holdwater.lock AS l WHERE l.name = lock_name AND l.owner = by_owner AND l.expires_at > now;
  RETURN FOUND;
END $$;

CREATE OR REPLACE FUNCTION holdwater.is_held(lock_name text, by_owner text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  now timestamptz := holdwater.alone('lock', lock_name);
BEGIN
  RETURN EXISTS (SELECT 1 FROM holdwater.lock AS l WHERE l.name = lock_name AND l.owner = by_owner AND l.expires_at > now);
END $$;

-- Scans: pages by key. A key keeps its place, so that what is live during the whole scan is met. With the clock of the
-- statement's arrival, which is before its snapshot: what expires in between may still be given, what is extended is not missed.

CREATE OR REPLACE FUNCTION holdwater.scan(stem text, after text, most int) RETURNS TABLE (k text, v text) LANGUAGE sql AS $$
  SELECT s.key, s.value FROM holdwater.state AS s
  WHERE starts_with(s.key, stem) AND s.key >= stem COLLATE "C" AND s.key > after COLLATE "C"
    AND (s.expires_at IS NULL OR s.expires_at > statement_timestamp())
  ORDER BY s.key LIMIT most
$$;

CREATE OR REPLACE FUNCTION holdwater.scan_kind(of_kind text, after text, most int) RETURNS TABLE (k text, v text) LANGUAGE sql AS $$
  SELECT s.key, s.value FROM holdwater.state AS s
  WHERE s.kind = of_kind COLLATE "C" AND s.key > after COLLATE "C" AND (s.expires_at IS NULL OR s.expires_at > statement_timestamp())
  ORDER BY s.key LIMIT most
$$;

-- Indexes. A read is one statement, and so one snapshot: an entry that moves meanwhile is met once, at its old time or its new one.

CREATE OR REPLACE FUNCTION holdwater.index(of_index text, k text, at_ms bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM holdwater.alone('index ' || of_index, k);
  INSERT INTO holdwater.entry VALUES (of_index, k, at_ms) ON CONFLICT (index, key) DO UPDATE SET time_ms = excluded.time_ms;
  RETURN true;
END $$;

CREATE OR REPLACE FUNCTION holdwater.unindex(of_index text, k text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM holdwater.alone('index ' || of_index, k);
  DELETE FROM holdwater.entry AS e WHERE e.index = of_index AND e.key = k;
  RETURN true;
END $$;

CREATE OR REPLACE FUNCTION holdwater.due(of_index text, now_ms bigint) RETURNS TABLE (k text) LANGUAGE sql AS $$
  SELECT e.key FROM holdwater.entry AS e WHERE e.index = of_index COLLATE "C" AND e.time_ms <= now_ms ORDER BY e.time_ms, e.key
$$;
