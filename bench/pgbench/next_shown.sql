\set n :client_id * :part + :next
\set next :next + 1
