\set id random(1000000001, 1000000000 + :users)
