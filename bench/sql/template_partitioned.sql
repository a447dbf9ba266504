\ir template_hashed.sql
\set partitions 16
\ir ../../sql/partition.sql
