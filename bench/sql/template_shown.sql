-- Sets as the settings of the session make them, and a table with every code that was shown.
CREATE TABLE shown AS
SELECT row_number() OVER (ORDER BY s.n, u) - 1 AS n, u AS id, s.code
  FROM generate_series(1, :users) AS u, backup_codes_generate(u) WITH ORDINALITY AS s (code, n);
ALTER TABLE shown ADD PRIMARY KEY (n);
