\set id random(1, :users)
