\set id random(1, :users)
\set code random(200000000000000000, 300000000000000000)
