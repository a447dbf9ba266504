WITH account AS (
  INSERT INTO backup_codes.account SELECT * FROM staged.account
), code AS (
  INSERT INTO backup_codes.code SELECT * FROM staged.code
)
INSERT INTO backup_codes.event SELECT * FROM staged.event;
