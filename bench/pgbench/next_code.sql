\set id :client_id * :part + 1 + permute(:next % :part, :part, 7)
\set code 100000000000000000 + :id * 1000 + 1 + :next / :part
\set next :next + 1
