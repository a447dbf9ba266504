-- What the specs share. Codes are random: those that user u was shown are kept here, and steps name them by list and place.

CREATE UNLOGGED TABLE shown (list text, n bigint, c text);

CREATE FUNCTION code(n integer, list text DEFAULT 'active') RETURNS text STABLE
  RETURN (SELECT s.c FROM shown AS s WHERE s.n = code.n AND s.list = code.list);

-- u has an active set of three codes.
CREATE PROCEDURE enrol() LANGUAGE sql BEGIN ATOMIC
  INSERT INTO shown SELECT 'active', n, c FROM backup_codes_generate('u', 3) WITH ORDINALITY AS g (c, n);
END;

-- u has a pending set of four codes.
CREATE PROCEDURE prepare() LANGUAGE sql BEGIN ATOMIC
  INSERT INTO shown SELECT 'pending', n, c FROM backup_codes_prepare('u', 4) WITH ORDINALITY AS g (c, n);
END;

-- What mailers claimed.
CREATE TABLE held (mailer text, lease uuid, event_id uuid, kind text);

CREATE PROCEDURE clear() LANGUAGE sql BEGIN ATOMIC
  DELETE FROM shown;
  DELETE FROM backup_codes.code;
  DELETE FROM backup_codes.pending_set;
  DELETE FROM backup_codes.event;
  DELETE FROM backup_codes.account;
END;

-- What must hold whatever ran: unused = codes; stray (codes of neither the active nor the pending set) = 0; pending_codes
-- is the size of the pending set; twice (codes accepted more than once) = 0; burned = the active set's accepted codes.
CREATE VIEW state AS
SELECT u.user_id,
       a.set_no AS active,
       a.unused,
       (SELECT count(*) FROM backup_codes.code AS c WHERE c.user_id = u.user_id AND c.set_no = a.set_no) AS codes,
       (SELECT used FROM backup_codes_status(u.user_id)) AS burned,
       p.set_no AS pending,
       (SELECT count(*) FROM backup_codes.code AS c WHERE c.user_id = u.user_id AND c.set_no = p.set_no) AS pending_codes,
       (SELECT count(*) FROM backup_codes.code AS c
         WHERE c.user_id = u.user_id AND (c.set_no = a.set_no OR c.set_no = p.set_no) IS NOT TRUE) AS stray,
       (SELECT count(*) - count(DISTINCT (e.set_no, e.ordinal)) FROM backup_codes.events AS e
         WHERE e.user_id = u.user_id AND e.kind = 'used') AS twice
  FROM (SELECT user_id FROM backup_codes.account
         UNION SELECT user_id FROM backup_codes.pending_set
         UNION SELECT user_id FROM backup_codes.code) AS u
  LEFT JOIN backup_codes.account AS a ON a.user_id = u.user_id
  LEFT JOIN backup_codes.pending_set AS p ON p.user_id = u.user_id
 ORDER BY u.user_id;

CREATE VIEW trail AS
SELECT user_id, kind, set_no, ordinal, remaining FROM backup_codes.events ORDER BY at, event_id;

-- What is counted against u. proofs: of the pending set; told: events of locks and of sets that failures removed.
CREATE VIEW throttle AS
SELECT a.failures, coalesce(a.locked_until > clock_timestamp(), false) AS locked, a.set_no AS active, a.unused,
       p.set_no AS pending, p.failures AS proofs,
       (SELECT string_agg(e.kind, ' ' ORDER BY e.at, e.event_id) FROM backup_codes.events AS e
         WHERE e.user_id = 'u' AND e.reason = 'failures') AS told
  FROM backup_codes.account AS a LEFT JOIN backup_codes.pending_set AS p ON p.user_id = 'u'
 WHERE a.user_id = 'u';
